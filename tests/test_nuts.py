"""Chains and best fits with gradients."""

import builtins
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import check_grad
from support.interrupted import interrupt_after

from benchmarks.posterior.chains import Target
from benchmarks.posterior.fit import Fit, Posterior, fit
from benchmarks.posterior.fit_table import render
from benchmarks.posterior.priors import Priors
from benchmarks.posterior.samplers import STUDY
from benchmarks.posterior.sampling import Sampling, draw, find_best
from export.measurements import Measurements
from export.runtime import load
from export.statistics import DeltaSigma, Wp

jax = pytest.importorskip("jax")
pytest.importorskip("numpyro")

from benchmarks.posterior import gradients, nuts  # noqa: E402

jnp = jax.numpy

CENTRE = np.array([0.5, 0.4])
COVARIANCE = np.array([[1.0, 0.9], [0.9, 1.0]]) * 0.05**2
QUICK = Sampling(sampler="nuts", burn_in=200, steps=300, chains=2)
FEW = 4.0  # standard errors that a mean of a fixed seed may be off
HELD = {"Om_m": 0.3, "Om_b": 0.05, "h": 0.7, "n_s": 0.96, "z": 0.3, "sigma_logM": 0.4,
        "log10M0": 12.8, "alpha": 1.1}  # fmt: skip
FREE = {"sigma_8": [0.6, 1.1], "log10Mmin": [12.0, 14.0], "log10M1": {"mean": 14, "sigma": 0.3}}


class Gaussian(Target):
    """A Gaussian, whose ln P is not a number where the first parameter is above an end."""

    def __init__(self, end=1.0, shift=0.0):
        super().__init__()
        self.end, self.shift = end, shift

    def ln(self, unit):
        apart = unit - CENTRE
        ln = -0.5 * np.einsum("ni,ij,nj->n", apart, np.linalg.inv(COVARIANCE), apart)
        return np.where(unit[:, 0] < self.end, ln, -np.inf)

    def in_jax(self):
        inverse = np.linalg.inv(COVARIANCE)

        def ln(unit):
            apart = unit - CENTRE
            known = jnp.where(unit[0] < self.end, 1.0, jnp.nan)
            return -0.5 * apart @ inverse @ apart * known + self.shift

        return ln


@pytest.fixture(scope="module")
def toy():
    return draw(Gaussian(), 2, QUICK)


@pytest.fixture(scope="module")
def measured():
    """w_p, Delta Sigma and n_g of a point, to a few percent."""
    emulator = load("tinker10", occupation="zheng07")
    r = np.geomspace(0.3, 20, 5)
    statistics = [Wp(r, pi_max=80, lengths="Mpc/h"), DeltaSigma(r, lengths="Mpc")]
    point = Priors(emulator, HELD, FREE).points(np.full((1, 3), 0.5))
    blank = Measurements(statistics, np.ones(11), np.ones(11), {"n_g": "h^3/Mpc^3"})
    data = blank.model(emulator, point)[0]
    return Measurements(statistics, data, 0.05 * data, {"n_g": "h^3/Mpc^3"})


@pytest.fixture(scope="module")
def posterior(measured):
    emulator = load("tinker10", occupation="zheng07")
    return Posterior(measured, emulator, Priors(emulator, HELD, FREE))


@pytest.fixture(scope="module")
def gradient(posterior):
    """Of ln P of `posterior`, compiled once."""
    return gradients.Gradient(posterior.in_jax())


def test_a_gaussian_has_its_mean_and_covariance(toy):
    ends, chain = toy
    for end in ends:
        np.testing.assert_allclose(end.unit, CENTRE, atol=1e-3)
        assert end.cost == pytest.approx(0, abs=1e-3)
    assert chain.samples.shape == (300, 2, 2)
    number = chain.ln_L.size / chain.autocorrelation
    assert (number > 200).all()
    sigma = np.sqrt(np.diag(COVARIANCE))
    assert (np.abs(chain.mean() - CENTRE) < FEW * sigma / np.sqrt(number)).all()
    found = np.cov(chain.samples.reshape(-1, 2).T)
    np.testing.assert_allclose(found, COVARIANCE, rtol=FEW * np.sqrt(2 / number.min()))
    assert chain.r_hat.max() < 1.02
    assert chain.divergences == 0


@pytest.mark.slow
def test_flat_priors_are_flat_to_their_ends():
    """Without data all of the cube is as likely, its corners too."""

    class Flat(Gaussian):
        def ln(self, unit):
            return np.zeros(len(unit))

        def in_jax(self):
            return lambda unit: 0.0 * unit.sum()

    _, chain = draw(Flat(), 2, replace(QUICK, steps=1000))
    x = chain.samples.reshape(-1, 2)
    number = (len(x) / chain.autocorrelation).min()
    shares = np.array([(x < end).mean(axis=0) for end in (0.05, 0.5, 0.95)])
    np.testing.assert_allclose(
        shares, np.array([[0.05], [0.5], [0.95]]) * np.ones(2), atol=FEW * 0.5 / np.sqrt(number)
    )


@pytest.mark.slow
def test_a_seed_makes_chains(toy):
    again = draw(Gaussian(), 2, QUICK)[1]
    np.testing.assert_array_equal(again.samples, toy[1].samples)
    other = draw(Gaussian(), 2, replace(QUICK, seed=2))[1]
    assert not np.array_equal(other.samples, toy[1].samples)


@pytest.mark.slow
def test_chains_that_were_interrupted_go_on(toy, tmp_path, monkeypatch):
    interrupt_after(monkeypatch, nuts, 300)
    with pytest.raises(KeyboardInterrupt):
        draw(Gaussian(), 2, QUICK, tmp_path)
    assert (tmp_path / "chain.npz").exists()
    target = Gaussian()
    chain = draw(target, 2, QUICK, tmp_path)[1]
    np.testing.assert_array_equal(chain.samples, toy[1].samples)
    assert chain.evaluations == toy[1].evaluations


@pytest.mark.slow
def test_what_is_not_a_number_is_never_in_a_chain():
    """A third of a Gaussian is NaN, in value and gradient: chains stay out, and diverge there."""
    end = 0.52
    ends, chain = draw(Gaussian(end), 2, replace(QUICK, burn_in=50, steps=100))
    assert (chain.samples[..., 0] < end).all()
    assert np.isfinite(chain.ln_L).all()
    assert chain.divergences > 0
    assert all(end.cost < 1 for end in ends)


def test_a_posterior_without_an_answer_is_refused():
    with pytest.raises(ValueError, match="no valid point within the priors"):
        draw(Gaussian(-1.0), 2, QUICK)


@pytest.mark.slow
def test_gradients_of_another_posterior_are_refused():
    with pytest.raises(RuntimeError, match="in onnxruntime differ by 3 on the chain"):
        draw(Gaussian(shift=3.0), 2, replace(QUICK, burn_in=50, steps=50))


def test_ln_p_in_jax_is_that_of_the_emulator(posterior, gradient):
    unit = np.random.default_rng(1).uniform(0.3, 0.7, (20, 3))
    by_jax = [gradient(one)[0] for one in unit]
    np.testing.assert_allclose(by_jax, posterior(unit), rtol=1e-3, atol=1e-2)
    error = check_grad(lambda x: gradient(x)[0], lambda x: gradient(x)[1], unit[0], epsilon=1e-6)
    assert error < 1e-3 * np.linalg.norm(gradient(unit[0])[1])
    assert gradient(np.array([0.5, 0.5, np.nan])) == (-np.inf, pytest.approx(np.zeros(3)))


def test_gradients_find_the_best_fit_in_fewer_calls(posterior, gradient):
    found = gradients.climb(posterior, gradient, 3, seed=1)
    expected = find_best(posterior, 3, 200, seed=1)
    assert found.cost == pytest.approx(expected.cost, abs=0.02)
    np.testing.assert_allclose(found.unit, expected.unit, atol=0.02)
    assert found.evaluations < expected.evaluations / 3


@pytest.mark.slow
def test_nuts_and_emcee_give_the_same_posterior(measured):
    emulator = load("tinker10", occupation="zheng07")
    priors = Priors(emulator, HELD, FREE)
    fits = [
        Fit.of(measured, emulator, priors, Sampling(walkers=32, chains=1)),
        Fit.of(measured, emulator, priors, Sampling(sampler="nuts", chains=2)),
    ]
    means = [one.samples.mean(axis=0) for one in fits]
    errors = [one.samples.std(axis=0) / np.sqrt(one.chain.ln_L.size / one.chain.autocorrelation)
              for one in fits]  # fmt: skip
    assert (np.abs(means[0] - means[1]) < FEW * np.hypot(*errors)).all()
    widths = fits[0].samples.std(axis=0) / fits[1].samples.std(axis=0)
    np.testing.assert_allclose(widths, 1, atol=0.15)
    summary = fits[1].summary()
    assert summary["convergence"]["divergences"] < 20
    assert max(summary["convergence"]["r_hat"].values()) < 1.05


@pytest.mark.slow
def test_the_command_fits_with_nuts_and_says_so(measured, tmp_path):
    measured.write(tmp_path / "data.csv")
    held = HELD | {"sigma_8": 0.85}
    free = {name: FREE[name] for name in ("log10Mmin", "log10M1")}
    given = {"sampler": "nuts", "burn_in": 50, "steps": 50, "chains": 2}
    result = fit(tmp_path / "data.csv", held, free, out=tmp_path / "out", **given)
    assert result["sampling"] == given | {"seed": 1}
    assert "2 chains of NUTS, 50 steps" in render(result)
    assert (tmp_path / "out/chain.npz").exists()
    assert (tmp_path / "out/posterior.png").exists()
    assert result["environment"]["numpyro"]


@pytest.mark.slow
def test_both_samplers_are_compared(measured, tmp_path):
    measured.write(tmp_path / "data.csv")
    held = HELD | {"sigma_8": 0.85}
    free = {name: FREE[name] for name in ("log10Mmin", "log10M1")}
    result = STUDY.run(
        tmp_path / "out", data=tmp_path / "data.csv", fixed=held, priors=free,
        emcee=Sampling(walkers=16, steps=700, chains=1),
        nuts=Sampling(sampler="nuts", burn_in=100, steps=200, chains=2),
    )  # fmt: skip
    assert set(result["parameters"]) == set(free)
    for one in result["parameters"].values():
        assert abs(one["shift"]) < FEW * one["shift_error"]
    assert "| log10M1 |" in (tmp_path / "out" / "samplers.md").read_text()
    assert str(tmp_path) not in (tmp_path / "out" / "samplers.json").read_text()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"walkers": 32}, "walkers = 32: sampler = 'nuts' has no walkers; leave it out"),
        ({"generations": 9}, "generations = 9: sampler = 'nuts' has no generations"),
        ({"sampler": "emcee", "burn_in": 9}, "burn_in = 9: sampler = 'emcee' has no .*'nuts'"),
        ({"sampler": "hmc"}, "sampler = 'hmc' must be emcee or nuts"),
    ],
)
def test_settings_that_a_sampler_does_not_have_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        Sampling(**{"sampler": "nuts", **given})


def test_too_short_a_burn_in_is_refused():
    with pytest.raises(ValueError, match="burn_in = 5 must be at least 20"):
        replace(QUICK, burn_in=5).check(("one",))


def test_what_jax_cannot_do_is_refused_by_name(measured):
    emulator = load("tinker10", occupation="zheng07")
    bent = Wp(np.geomspace(0.3, 20, 5), pi_max=80, lengths="Mpc/h", bias="tinker05")
    data = Measurements([bent], np.ones(5), np.ones(5))
    target = Posterior(data, emulator, Priors(emulator, HELD, FREE))
    with pytest.raises(ValueError, match="sampler = 'nuts': w_p: scale-dependent .*'emcee'"):
        draw(target, 3, QUICK)
    with pytest.raises(ValueError, match="sampler = 'nuts': Plain has no gradients"):
        draw(Plain(), 3, QUICK)


class Plain(Target):
    def ln(self, unit):
        return np.zeros(len(unit))


def test_without_jax_the_extra_is_named(monkeypatch):
    real = builtins.__import__

    def missing(name, *rest):
        if name == "benchmarks.posterior" and "nuts" in (rest[2] or ()):
            raise ModuleNotFoundError("No module named 'numpyro'", name="numpyro")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ModuleNotFoundError, match=r"hodspectra\[posterior\].*'emcee'") as caught:
        draw(Gaussian(), 2, QUICK)
    assert caught.value.name == "numpyro"
