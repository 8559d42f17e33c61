"""The posterior check: its survey, its sampler, and that it sees a bias."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from benchmarks import posterior as module
from benchmarks.chains import Reweighted, sample
from benchmarks.posterior import Sampling, compare, posterior, render
from benchmarks.survey import FIDUCIAL, Likelihood, Mock, Survey
from datagen.space import PARAMETERS, Space
from export.runtime import load

SMALL = Sampling(walkers=40, burn_in=150, discard=10, steps=150, chains=2, reweight=300)


@pytest.fixture(scope="module")
def model():
    return load("standard")


def biased(model, by, theta, **options):
    spectra = model(theta, **options)
    return spectra | {"gm_total": spectra["gm_total"] * by}


@pytest.fixture
def at_fiducial(model):
    return {name: np.float64(P) for name, P in model(FIDUCIAL).items()}


class TestSurvey:
    k = np.geomspace(0.1, 1, 4)
    dlnk = np.log(10) / 3

    def spectra(self, n_g, b=2.0):
        P = 1e3 / self.k
        return {"gg_total": b**2 * P, "gm_total": b * P, "mm_total": P, "n_g": np.array(n_g)}

    def test_galaxies_that_are_matter_measure_it_once(self):
        survey = Survey(floor=0.0)
        covariance = survey.covariance(self.k, self.dlnk, self.spectra(n_g=1e30))
        modes = survey.volume * self.k**3 * self.dlnk / (2 * np.pi**2)
        gm = self.spectra(1)["gm_total"]
        np.testing.assert_allclose(np.diag(covariance)[4:8], 2 * gm**2 / modes)
        correlation = covariance[0, 4] / np.sqrt(covariance[0, 0] * covariance[4, 4])
        assert correlation == pytest.approx(1)

    def test_shot_noise_and_floor(self):
        sparse = self.spectra(n_g=1e-8)  # nothing but shot noise
        covariance = Survey(floor=0.0).covariance(self.k, self.dlnk, sparse)
        modes = 1e9 * self.k**3 * self.dlnk / (2 * np.pi**2)
        np.testing.assert_allclose(np.diag(covariance)[:4], 2 * 1e16 / modes, rtol=1e-2)
        more = Survey(floor=0.1).covariance(self.k, self.dlnk, sparse) - covariance
        np.testing.assert_allclose(np.diag(more)[4:8], (0.1 * sparse["gm_total"]) ** 2)

    def test_chi2_of_the_truth_is_that_of_the_noise(self, at_fiducial, model):
        batch = {name: P[None] for name, P in at_fiducial.items()}
        chi2 = [Mock(Survey(), model.k, at_fiducial, seed).chi2(batch)[0] for seed in range(200)]
        assert np.mean(chi2) == pytest.approx(55, abs=4 * np.sqrt(110 / 200))  # 2 x 27 + 1 of them

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"volume": 0.0}, "volume = 0 and density_error = 0.05 must be positive"),
            ({"k_min": 3.0}, "k_min = 3 must be positive and below k_max = 3"),
            ({"floor": -1.0}, "floor = -1 must not be negative"),
        ],
    )
    def test_mistakes(self, wrong, message):
        with pytest.raises(ValueError, match=message):
            Survey(**wrong)

    def test_no_wavenumber(self, at_fiducial, model):
        with pytest.raises(ValueError, match=r"no wavenumber lies in \[0.02, 0.0201\] 1/Mpc"):
            Mock(Survey(k_max=0.0201), model.k, at_fiducial, 1)


def test_prior_is_the_box(at_fiducial, model):
    likelihood = Likelihood(model, Mock(Survey(), model.k, at_fiducial, 1), Space())
    unit = np.full((3, 10), 0.5)
    unit[0, 3], unit[1, 7] = 1.001, -0.001
    assert np.isneginf(likelihood(unit)).tolist() == [True, True, False]
    assert likelihood.evaluations == 1


def test_reweighting_moves_a_normal_density():
    x = np.random.default_rng(1).standard_normal((4000, 1))
    again = Reweighted(x, -0.5 * ((x[:, 0] - 0.01) / 1.02) ** 2 + 0.5 * x[:, 0] ** 2)
    shift, error = again.shift()
    assert shift[0] == pytest.approx(-0.01, abs=4 * error[0])
    assert error[0] < 0.1 * np.sqrt(2 / 4000)  # far below that of two independent sets
    assert again.width()[0] == pytest.approx(1 / 1.02, rel=5e-3)
    assert 0.99 < again.effective() < 1


def test_an_interrupted_chain_goes_on_as_if_nothing_had_been(at_fiducial, model, tmp_path):
    mock = Mock(Survey(), model.k, at_fiducial, 1)
    start = 0.5 + 0.01 * np.random.default_rng(1).standard_normal((20, 10))

    def call(theta):
        calls.append(len(theta))
        if len(calls) == 12:
            raise KeyboardInterrupt
        return model(theta)

    def chain(file):
        return sample(Likelihood(call, mock, Space()), start, 10, 3, label="chain", file=file)

    calls: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        chain(tmp_path / "chain.h5")
    went_on = chain(tmp_path / "chain.h5")
    calls[:] = [0] * 12  # past the interruption
    at_once = chain(None)
    np.testing.assert_array_equal(went_on.samples, at_once.samples)
    assert at_once.evaluations - went_on.evaluations < 20  # of the step that was lost
    assert chain(tmp_path / "chain.h5").evaluations == went_on.evaluations


class TestCompare:
    def run(self, model, emulator):
        return compare(emulator, model, model.k, Space(), Survey(), SMALL)

    def test_equal_codes_do_not_differ(self, model):
        result, chains = self.run(model, model)
        both, one = chains["emulator"].samples, chains["truth"].samples
        np.testing.assert_array_equal(both[:, :40], one)  # same seed, same code
        scatter = (both[:, :40] - both[:, 40:]).mean(axis=(0, 1)) / np.sqrt(2)
        error = np.array(list(result["shift_error"].values())) * one.std(axis=(0, 1))
        np.testing.assert_allclose(error, np.sqrt(1.5) * np.abs(scatter), rtol=1e-3)
        found = result["reweighted"]
        # but for float32, which rounds a point in another batch in another way
        assert max(map(abs, found["shift"].values())) < 1e-3
        assert found["effective"] == pytest.approx(1, abs=1e-6)
        assert found["delta_chi2"]["largest of the best 68 %"] < 1e-2

    def test_a_bias_is_seen(self, model):
        found = self.run(model, partial(biased, model, 1.005))[0]["reweighted"]
        assert max(map(abs, found["shift"].values())) > 0.1
        assert found["delta_chi2"]["median"] > 0.1


def test_command(model, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("benchmarks.timing.ONE_CORE", 99)  # nothing is claimed of these times
    true_code = {"labels": model, "pyccl": model}
    monkeypatch.setattr(module, "direct", lambda config, space: true_code)
    result = posterior(tmp_path, sampling=SMALL)
    assert json.loads((tmp_path / "posterior.json").read_text()) == result
    assert (tmp_path / "posterior.pdf").exists()
    text = render(result)
    assert text in capsys.readouterr().out
    assert all(f"| {name} |" in text for name in PARAMETERS if not name.startswith("M"))
    with pytest.raises(ValueError, match="holds a run with other settings"):
        posterior(tmp_path, sampling=replace(SMALL, seed=2))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"walkers": 19}, "walkers = 19 must be at least 20"),
        ({"chains": 1}, "chains = 1 must be at least 2"),
        (
            {"steps": 0},
            "steps = 0 and reweight = 4000 must be at least 1, discard = 300 at least 0",
        ),
    ],
)
def test_wrong_sampling(wrong, message):
    with pytest.raises(ValueError, match=message):
        Sampling(**wrong)
