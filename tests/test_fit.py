"""Fits of measured galaxies: made-up data, whose truth is known."""

import json
from dataclasses import replace

import numpy as np
import pytest
from support.interrupted import interrupt_after

import benchmarks.posterior.fit
from benchmarks.posterior import sampling
from benchmarks.posterior.chains import Chain, Target, split_r_hat
from benchmarks.posterior.fit import Fit, Posterior, fit, main
from benchmarks.posterior.fit_table import render
from benchmarks.posterior.priors import Priors
from benchmarks.posterior.sampling import Sampling, draw, find_best
from benchmarks.posterior.transitions import render as render_transitions
from benchmarks.posterior.transitions import transitions
from export.measurements import Measurements, as_record
from export.runtime import load
from export.statistics import DeltaSigma, Wp

COSMOLOGY = {"Om_m": 0.3, "Om_b": 0.05, "h": 0.7, "n_s": 0.96, "z": 0.3}
TRUTH = {"sigma_8": 0.82, "log10Mmin": 13.0, "log10M1": 14.1}
HELD = COSMOLOGY | {"sigma_logM": 0.4, "log10M0": 12.8, "alpha": 1.1}
FLAT = {"sigma_8": [0.6, 1.1], "log10Mmin": [12.0, 14.0], "log10M1": [13.0, 15.0]}
SHORT = Sampling(walkers=16, steps=500, chains=1, generations=60)
TINY = replace(SHORT, steps=100, generations=5)
FEW = 4.0  # standard deviations that a truth may be off, with the noise of a fixed seed


@pytest.fixture(scope="module")
def emulator():
    return load("tinker10", occupation="zheng07")


@pytest.fixture(scope="module")
def measured(emulator):
    """Measurements to a few percent around the truth."""
    r = np.geomspace(0.2, 20, 8)
    statistics = [Wp(r, pi_max=80, lengths="Mpc/h"), DeltaSigma(r, lengths="Mpc")]
    priors = Priors(emulator, HELD, FLAT)
    point = priors.points(np.zeros((1, 3))) | {name: [value] for name, value in TRUTH.items()}
    numbers = {"n_g": "h^3/Mpc^3"}
    blank = Measurements(statistics, np.ones(17), np.ones(17), numbers)
    model = blank.model(emulator, point)[0]
    error = 0.05 * np.abs(model)
    noise = np.random.default_rng(3).standard_normal(17)
    return Measurements(statistics, model + error * noise, error, numbers)


@pytest.fixture(scope="module")
def done(measured, emulator):
    return Fit.of(measured, emulator, Priors(emulator, HELD, FLAT), SHORT)


def missing(self):
    """`Posterior.in_jax` without JAX."""
    raise ModuleNotFoundError("No module named 'jax'", name="jax")


def test_the_best_fit_is_where_chi2_is_lowest(measured, emulator):
    priors = Priors(emulator, HELD, FLAT)
    first = find_best(Posterior(measured, emulator, priors), 3, 200, seed=1)
    best, cost = first.unit, first.cost
    again = find_best(Posterior(measured, emulator, priors), 3, 200, seed=2)
    assert cost == pytest.approx(again.cost, abs=0.02)
    found = priors.coordinates(best[None])[0]
    np.testing.assert_allclose(found, list(TRUTH.values()), atol=0.1)
    at_truth = priors.points(best[None]) | {name: [value] for name, value in TRUTH.items()}
    assert cost < measured.chi2(emulator, at_truth)[0]


def test_the_posterior_holds_the_truth(done):
    summary = done.summary()
    for name, true in TRUTH.items():
        one = summary["parameters"][name]
        assert abs(one["median"] - true) < FEW * (one["high"] - one["low"]) / 2
        assert one["low"] < one["best"] < one["high"] or one["best"] == pytest.approx(true, rel=0.1)
    assert summary["degrees_of_freedom"] == 17 - 3
    assert 1e-3 < summary["probability"] < 1 - 1e-3
    assert sum(summary["chi2_of"].values()) == pytest.approx(summary["best_chi2"], rel=1e-2)
    assert max(summary["convergence"]["r_hat"].values()) < 1.1
    assert set(summary["derived"]) == {"n_g", "b_eff", "f_sat"}


def test_a_seed_makes_a_fit(measured, emulator, monkeypatch):
    monkeypatch.setattr(Posterior, "in_jax", missing)  # which takes seconds to compile
    priors = Priors(emulator, HELD, FLAT)
    one, two = (Fit.of(measured, emulator, priors, TINY) for _ in range(2))
    np.testing.assert_array_equal(one.chain.samples, two.chain.samples)
    np.testing.assert_array_equal(one.best, two.best)
    other = Fit.of(measured, emulator, priors, replace(TINY, seed=2))
    assert not np.array_equal(one.chain.samples, other.chain.samples)


def test_a_gaussian_prior_pulls(measured, emulator):
    pulled = {**FLAT, "sigma_8": {"mean": 0.7, "sigma": 1e-3}}
    priors = Priors(emulator, HELD, pulled)
    best = find_best(Posterior(measured, emulator, priors), 3, 100, seed=1).unit
    assert priors.coordinates(best[None])[0, 0] == pytest.approx(0.7, abs=0.01)


def test_walkers_that_disagree_have_a_large_r_hat():
    noise = np.random.default_rng(1).standard_normal((1000, 8, 1))
    assert split_r_hat(noise, 8)[0] == pytest.approx(1, abs=0.01)
    assert split_r_hat(noise + np.arange(8)[:, None], 8)[0] > 2


def test_ensembles_that_disagree_have_a_large_r_hat_and_walkers_of_one_may_differ():
    noise = np.random.default_rng(1).standard_normal((1000, 8, 1))
    assert split_r_hat(noise, 2)[0] == pytest.approx(1, abs=1e-3)
    assert split_r_hat(noise + np.repeat([0, 1], 4)[:, None], 2)[0] > 1.1
    assert split_r_hat(noise + np.tile([0, 1], 4)[:, None], 2)[0] == pytest.approx(1, abs=1e-3)
    drift = np.linspace(0, 3, 1000)[:, None, None]
    assert split_r_hat(noise + drift, 2)[0] > 1.1


class Gaussian(Target):
    """Of two parameters, of a standard deviation of 0.05 about the middle of the cube."""

    def ln(self, unit):
        return -0.5 * (((unit - 0.5) / 0.05) ** 2).sum(axis=1)


def test_a_chain_ends_when_it_has_converged():
    ends, chain = draw(Gaussian(), 2, Sampling(walkers=16, generations=20))
    assert [end.by for end in ends] == 4 * ["differential evolution"]
    assert chain.is_converged
    assert 50 * chain.autocorrelation.max() <= chain.steps < 5000
    np.testing.assert_allclose(chain.std(), 0.05, rtol=0.1)
    assert chain.ensembles == 4
    assert chain.samples.shape == (chain.steps // 10, 64, 2)


def test_a_chain_that_may_not_go_on_says_that_it_has_not_converged():
    _, chain = draw(Gaussian(), 2, Sampling(walkers=16, generations=20, steps=200))
    assert not chain.is_converged
    assert chain.steps == 180  # without its first tenth


def test_what_has_not_converged_is_not_called_so():
    rng = np.random.default_rng(1)

    def chain(samples):
        return Chain(samples, np.zeros(samples.shape[:2]), 0, 0.0, ensembles=2)

    white = rng.standard_normal((2000, 8, 1))
    assert chain(white).is_converged
    assert not chain(white[:15]).is_converged  # short
    assert not chain(white + np.repeat([0, 0.5], 4)[:, None]).is_converged  # two answers
    walk = np.cumsum(rng.standard_normal((2000, 8, 1)), axis=0)
    assert not chain(walk).is_converged


def test_chains_that_were_interrupted_converge_to_the_same(tmp_path, monkeypatch):
    given = Sampling(walkers=16, generations=20)
    _, expected = draw(Gaussian(), 2, given)
    interrupt_after(monkeypatch, sampling, 60)
    with pytest.raises(KeyboardInterrupt):
        draw(Gaussian(), 2, given, tmp_path)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["chain.npz"]
    target = Gaussian()
    _, chain = draw(target, 2, given, tmp_path)
    np.testing.assert_array_equal(chain.samples, expected.samples)
    assert chain.evaluations == expected.evaluations


def test_without_jax_the_search_takes_no_gradients(measured, emulator, monkeypatch):
    monkeypatch.setattr(Posterior, "in_jax", missing)
    ends, _ = draw(Posterior(measured, emulator, Priors(emulator, HELD, FLAT)), 3, TINY)
    assert ends[0].by == "differential evolution"


def test_with_jax_the_search_takes_gradients(done):
    pytest.importorskip("jax")
    summary = done.summary()
    assert summary["searches"]["by"] == "gradients"
    assert summary["searches"]["lowest"][0] == pytest.approx(summary["best_chi2"], abs=0.1)


def test_om_m_stands_for_om_c_and_masses_have_their_logarithms():
    emulator = load("tinker10", occupation="linke22")
    held = {"Om_b": 0.05, "h": 0.7, "sigma_8": 0.8, "n_s": 0.96, "z": 0.0, "alpha": 0.7,
            "sigma": 0.3, "beta": 1.0, "Mprime": 1e14}  # fmt: skip
    priors = Priors(emulator, held, {"Om_m": [0.2, 0.4], "Mth": [1e12, 1e14]})
    point = priors.points(np.array([[0.5, 0.5]]))
    assert point["Om_c"][0] == pytest.approx(0.25)
    assert point["Mth"][0] == pytest.approx(1e13)
    assert priors.coordinates(np.array([[0.5, 0.5]]))[0].tolist() == pytest.approx([0.3, 13])


@pytest.mark.parametrize(
    ("fixed", "priors", "message"),
    [
        ({}, {}, "Om_c, Om_b, h, sigma_8, n_s, z: give each a value in fixed, or a prior"),
        (HELD | {"Om_c": 0.2}, FLAT, "Om_m and Om_c are both given"),
        (HELD | {"hh": 0.2}, FLAT, r"no parameter hh \(did you mean 'h'\?\)"),
        (HELD | {"sigma_8": 0.8}, FLAT, "sigma_8: give either a fixed value or a prior"),
        (HELD | {"h": 70}, FLAT, "fixed: h = 70 is outside the trained range"),
        (HELD | {"h": "0.7"}, FLAT, "fixed: h = '0.7' must be a number"),
        (HELD | TRUTH, {}, "all parameters are fixed"),
        (HELD, FLAT | {"sigma_8": [0.1, 0.9]}, "sigma_8: .*0.1, 0.9.* exceeds .*narrow it"),
        (HELD, FLAT | {"sigma_8": [0.9, 0.7]}, "low = 0.9 must be below high = 0.7"),
        (HELD, FLAT | {"sigma_8": 0.8}, r"priors: sigma_8 = 0.8: give \[low, high\]"),
        (HELD, FLAT | {"sigma_8": {"mean": 0.8}}, r"give \[low, high\], or {mean"),
        (HELD, FLAT | {"sigma_8": {"mean": 0.8, "sigma": 0}}, "sigma = 0 must be above 0"),
        (HELD, FLAT | {"sigma_8": [None, 1]}, "sigma_8: low = None must be a number"),
    ],
)
def test_priors_that_make_no_sense_are_refused(emulator, fixed, priors, message):
    with pytest.raises(ValueError, match=message):
        Priors(emulator, fixed, priors)


def test_a_parameter_of_a_statistic_has_a_prior(emulator):
    r = np.array([0.1, 1.0])
    excess = DeltaSigma(r, point_mass="M_point")
    with pytest.raises(ValueError, match="M_point: give each a value"):
        Priors(emulator, HELD, FLAT, ["M_point"])
    priors = Priors(emulator, HELD, FLAT | {"M_point": [0, 1e12]}, ["M_point"])
    measured = Measurements([excess], [1e13, 1e12], [1e12, 1e11])
    posterior = Posterior(measured, emulator, priors)
    assert np.isfinite(posterior(np.full((3, 4), 0.5))).all()


def test_the_command_writes_what_it_found(measured, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Posterior, "in_jax", missing)  # which takes seconds to compile
    measured.write("made_up.csv")
    held, flat = HELD | {"sigma_8": 0.82}, {n: FLAT[n] for n in ("log10Mmin", "log10M1")}
    arguments = ["--data", "made_up.csv", "--fixed", json.dumps(held), "--priors",
                 json.dumps(flat), "--walkers", "12", "--steps", "100", "--chains", "1",
                 "--generations", "10", "--out", "out",
                 "--cuts", "{w_p: [0.5, null]}"]  # fmt: skip
    main(arguments)
    first = json.loads((tmp_path / "out/fit.json").read_text())
    assert first["data"] == "made_up.csv"
    assert first["numbers"] == 15
    assert str(tmp_path) not in json.dumps(first)
    text = (tmp_path / "out/fit.md").read_text()
    assert "NOT converged: allow more steps" in text
    assert "| log10M1 | 13 to 15 |" in text
    for name in ("data.png", "data.pdf", "posterior.png"):
        assert (tmp_path / "out" / name).stat().st_size > 1000
    monkeypatch.setattr(
        benchmarks.posterior.fit, "save_figure", lambda *_: None
    )  # they take seconds
    main(arguments)
    again = json.loads((tmp_path / "out/fit.json").read_text())
    assert again["parameters"] == first["parameters"]
    table = render_of(tmp_path, first)
    assert table.startswith("| | made_up |\n")
    assert "| occupation | zheng07 |" in table
    assert f"| chi^2 / degrees of freedom | {first['best_chi2']:.1f} / 13 |" in table
    with pytest.raises(SystemExit, match="2"):
        main([*arguments, "--seed", "2"])
    assert "holds a run with other settings" in capsys.readouterr().err


def render_of(folder, result) -> str:
    (folder / "all").mkdir()
    (folder / "all/one.json").write_text(json.dumps(result))
    return render(folder / "all")


def test_what_cannot_be_fitted_is_refused(measured, tmp_path):
    measured.write(tmp_path / "made_up.csv")
    data = tmp_path / "made_up.csv"
    with pytest.raises(ValueError, match="walkers = 4 must be at least 6"):
        fit(data, HELD, FLAT, walkers=4, out=tmp_path / "out")
    with pytest.raises(ValueError, match="z = 0.1 and fixed has z, too"):
        fit(data, HELD, FLAT, z=0.1, out=tmp_path / "out")
    with pytest.raises(ValueError, match="steps = 0 must be at least 100"):
        fit(data, HELD, FLAT, steps=0, out=tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="no measurements at"):
        fit(tmp_path / "none.csv", HELD, FLAT)
    with pytest.raises(ValueError, match="published-gm|DeltaSigma needs|Wp needs|occupation"):
        fit(data, HELD, FLAT, emulator="published-gm", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_models_of_the_transition_are_compared(tmp_path):
    """Of data with scale-dependent bias, that model has the best fit."""
    emulator = load("tinker10", occupation="zheng07")
    r = np.geomspace(0.3, 20, 8)
    truth = Wp(r, pi_max=60, lengths="Mpc/h", bias="tinker05")
    point = {
        "Om_c": 0.25, "Om_b": 0.05, "h": 0.7, "sigma_8": 0.8, "n_s": 0.96, "z": 0.3,
        "log10Mmin": 13.0, "sigma_logM": 0.4, "log10M0": 13.0, "log10M1": 14.1, "alpha": 1.1,
    }  # fmt: skip
    data = emulator(point, [truth])["w_p"]
    straight = Wp(r, pi_max=60, lengths="Mpc/h")
    path = tmp_path / "bent.csv"
    Measurements([straight], data, 0.02 * data).write(path)
    fixed = {n: v for n, v in point.items() if n not in ("log10Mmin", "log10M1")}
    result = transitions(path, fixed, generations=3)
    chi2 = {row["says"]: row["chi2"] for row in result["rows"]}
    assert chi2["scale-dependent bias"] < 1 < chi2["sum of both terms"]
    assert len(chi2) == 5
    assert "| halo exclusion |" in render_transitions(result)


def test_options_of_the_transition_are_written_down():
    bent = Wp([1.0, 2.0], pi_max=60, bias="tinker05", exclusion="spheres")
    record = as_record(bent)
    assert record["bias"] == "tinker05"
    assert record["exclusion"] == "spheres"
