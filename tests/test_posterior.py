"""The posterior check: its survey, its sampler, and that it sees a bias."""

import json
import shutil
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.posterior import chains as module_chains
from benchmarks.posterior import comparison as module
from benchmarks.posterior.chains import Reweighted, sample
from benchmarks.posterior.comparison import Sampling, compare, posterior, render
from benchmarks.posterior.mock_data import FIDUCIAL, FIXED, FreeBox, Likelihood, Mock, Survey
from datagen.files import BusyError, exclusive
from datagen.space import Range, Space
from export.runtime import load
from export.to_onnx import to_onnx

SMALL = Sampling(walkers=40, burn_in=150, discard=10, steps=150, chains=2, reweight=300)


@pytest.fixture(scope="module")
def file(small_file, tmp_path_factory):
    """One without a file of weights beside it, as what is shipped."""
    return shutil.copy(small_file, tmp_path_factory.mktemp("emulator") / "small.onnx")


@pytest.fixture(scope="module")
def model(file):
    return load(file)


@pytest.fixture(scope="module")
def box(model):
    return FreeBox(Space.from_dict(model.metadata["parameters"]), FIXED)


def biased(model, by, theta, **options):
    spectra = model(theta, **options)
    return spectra | {"gm_total": spectra["gm_total"] * by}


@pytest.fixture
def at_fiducial(model):
    return {name: np.float64(P) for name, P in model(FIDUCIAL | FIXED).items()}


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


def test_what_is_held_fixed_is_not_sampled(model):
    space = replace(Space.from_dict(model.metadata["parameters"]), h=Range(0.7, 0.7))
    box = FreeBox(space, FIXED | {"z": 1.5})
    assert box.names == tuple(name for name in Space().names if name not in ("h", "w0", "wa", "z"))
    points = box.points(np.random.default_rng(1).random((5, len(box.names))))
    for name, value in {"h": 0.7, "w0": -1.0, "wa": 0.0, "z": 1.5}.items():
        np.testing.assert_allclose(points[:, Space().names.index(name)], value)
    np.testing.assert_allclose(box.points(box.unit(points)), points)
    shown = box.coordinates(box.unit(points))
    np.testing.assert_allclose(
        shown[:, box.names.index("Mth")], np.log10(points[:, Space().names.index("Mth")])
    )


def test_galaxies_of_the_mock_are_those_of_one_occupation():
    with pytest.raises(ValueError, match="unknown parameters: sigma, Mth, Mprime, beta; there are"):
        FreeBox(Space(occupation="zheng07"), FIXED)


def test_dark_energy_can_be_sampled(model):
    box = FreeBox(Space.from_dict(model.metadata["parameters"]), {"z": 0.5})
    assert set(Space().names) - set(box.names) == {"z"}
    points = box.points(np.random.default_rng(1).random((100, len(box.names))))
    assert np.ptp(points[:, Space().names.index("w0")]) > 1
    assert np.isfinite(model(points)["gg_total"]).all()


def test_prior_is_the_box(at_fiducial, model, box):
    likelihood = Likelihood(model, Mock(Survey(), model.k, at_fiducial, 1), box)
    unit = np.full((3, len(box.names)), 0.5)
    unit[0, box.names.index("sigma_8")], unit[1, box.names.index("Mth")] = 1.001, -0.001
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


class TestChain:
    start = 0.5 + 0.01 * np.random.default_rng(1).standard_normal((20, 10))

    @pytest.fixture(autouse=True)
    def _box(self, box):
        self.box = box

    def chain(self, model, at_fiducial, file, stop=None):
        """Ten steps; the call of the given number, and no other, is interrupted."""
        mock, calls = Mock(Survey(), model.k, at_fiducial, 1), []

        def call(theta):
            calls.append(len(theta))
            if len(calls) == stop:
                raise KeyboardInterrupt
            return model(theta)

        return sample(Likelihood(call, mock, self.box), self.start, 10, 3, label="x", file=file)

    def test_an_interrupted_one_goes_on_as_if_nothing_had_been(
        self, model, at_fiducial, tmp_path, capsys
    ):
        file = tmp_path / "chain.npz"
        with pytest.raises(KeyboardInterrupt):
            self.chain(model, at_fiducial, file, stop=12)
        assert "Traceback" not in "".join(capsys.readouterr())
        went_on, at_once = (self.chain(model, at_fiducial, f) for f in (file, None))
        np.testing.assert_array_equal(went_on.samples, at_once.samples)
        np.testing.assert_array_equal(went_on.ln_L, at_once.ln_L)
        assert went_on.evaluations == at_once.evaluations
        again = self.chain(model, at_fiducial, file, stop=1)  # nothing is left to be done
        assert again.evaluations == went_on.evaluations

    def test_what_a_kill_finds_on_disk_is_whole(self, model, at_fiducial, tmp_path, monkeypatch):
        monkeypatch.setattr("benchmarks.posterior.chains._KEPT_EVERY", 0.0)
        kept, write = [], module_chains.write_arrays

        def seen(file, *rest):
            write(file, *rest)
            kept.append(file.read_bytes())

        monkeypatch.setattr(module_chains, "write_arrays", seen)
        at_once = self.chain(model, at_fiducial, tmp_path / "chain.npz")
        assert len(kept) >= 10
        for content in kept[::3]:
            (tmp_path / "killed.npz").write_bytes(content)
            went_on = self.chain(model, at_fiducial, tmp_path / "killed.npz")
            np.testing.assert_array_equal(went_on.samples, at_once.samples)

    def test_a_damaged_file_is_not_gone_on_from(self, model, at_fiducial, tmp_path):
        file = tmp_path / "chain.npz"
        at_once = self.chain(model, at_fiducial, file)
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        for bad in (content, content[:100], b""):
            file.write_bytes(bad)
            np.testing.assert_array_equal(
                self.chain(model, at_fiducial, file).samples, at_once.samples
            )


class TestCompare:
    @pytest.fixture(autouse=True)
    def _box(self, box):
        self.box = box

    def run(self, model, emulator):
        return compare(emulator, model, model.k, self.box, Survey(), SMALL)

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


@pytest.mark.slow
def test_command(model, file, box, small_file, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("benchmarks.codes.timing.ONE_CORE", 99)  # nothing is claimed of these times
    true_code = {"labels": model, "pyccl": model}
    monkeypatch.setattr(module, "direct", lambda config, space: true_code)
    out = tmp_path / "out"
    result = module.STUDY.run(out, emulator=str(file), sampling=SMALL)
    assert json.loads((out / "posterior.json").read_text()) == result
    assert (out / "posterior.pdf").exists()
    text = render(result)
    assert text in capsys.readouterr().out
    assert "10 parameters (w0 = -1, wa = 0, z = 0 fixed)" in text
    assert all(f"| {name} |" in text for name in box.names if not name.startswith("M"))
    assert "| w0 |" not in text
    assert result["fiducial"] == pytest.approx(FIDUCIAL | FIXED)
    with pytest.raises(ValueError, match="holds a run with other settings"):
        posterior(out, str(file), sampling=replace(SMALL, seed=2))
    with pytest.raises(ValueError, match="holds a run with other settings .*fixed.z"):
        posterior(out, str(file), sampling=SMALL, fixed=FIXED | {"z": 0.5})
    other = to_onnx(
        small_file.with_suffix(".safetensors"), tmp_path / "other.onnx",
        mass_function="Tinker08", halo_bias="Tinker10",
    )  # fmt: skip
    with pytest.raises(ValueError, match="holds a run with other settings .content is "):
        posterior(out, str(other), sampling=SMALL)
    moved = out.rename(tmp_path / "moved")  # and the emulator under another name
    shutil.copy(model.path, moved / "copy.onnx")
    again = posterior(moved, str(moved / "copy.onnx"), sampling=SMALL)
    assert again["codes"]["truth"] == result["codes"]["truth"]


def test_galaxies_of_the_mock_are_those_asked_for(file, tmp_path, monkeypatch):
    other = load(file, occupation="zheng07")
    monkeypatch.setattr("benchmarks.codes.timing.ONE_CORE", 99)  # nothing is claimed of these times
    monkeypatch.setattr(module, "direct", lambda config, space: {"labels": other})
    quick = replace(SMALL, reweight=40)
    out = tmp_path / "out"
    result = module.STUDY.run(out, emulator=str(file), occupation="zheng07", sampling=quick)
    galaxies = {p.name for p in other.parameters} - set(FIDUCIAL) - set(FIXED)
    assert {"log10Mmin", "sigma_logM"} <= galaxies
    assert {n: result["fiducial"][n] for n in galaxies} == {n: other.example[n] for n in galaxies}
    assert galaxies <= result["shift"].keys()
    assert "galaxies of zheng07" in render(result)
    with pytest.raises(ValueError, match=r"holds a run with other settings .*occupation"):
        posterior(out, str(file), sampling=quick)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"survey": Survey(k_max=0.0201)}, r"no wavenumber lies in \[0.02, 0.0201\]"),
        ({"fixed": {"z": 2.5}}, r"small.onnx does not cover the true point .*z = 2.5 is outside"),
        ({"fixed": {"Om_k": 0.0}}, "unknown parameters: Om_k; there are Om_c"),
        ({"sampling": Sampling(walkers=19), "fixed": FIXED}, "walkers = 19 must be at least 20"),
        (
            {"sampling": Sampling(walkers=23), "fixed": {"z": 0.0}},
            "walkers = 23 must be at least 24",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused_and_leaves_no_folder(
    tmp_path, monkeypatch, file, options, message
):
    monkeypatch.setattr(module, "direct", None)
    with pytest.raises(ValueError, match=message):
        posterior(tmp_path / "out", str(file), **options)
    assert not (tmp_path / "out").exists()


class Gaussian(module_chains.Target):
    """Of ten parameters, each of a standard deviation of 0.02 about the middle of the cube."""

    def ln(self, unit):
        return -0.5 * (((unit - 0.5) / 0.02) ** 2).sum(axis=1)


def test_chains_have_the_widths_of_what_they_sample():
    start = 0.5 + 0.02 * np.random.default_rng(1).standard_normal((64, 10))
    chain = module_chains.sample(Gaussian(), start, 4000, 1).after(500)
    assert chain.std().mean() == pytest.approx(0.02, rel=0.02)  # of 0.94 of it with the snooker
    assert -2 * chain.ln_L.mean() == pytest.approx(10, rel=0.03)


@pytest.mark.slow
def test_an_emulator_without_what_is_measured_is_refused(tmp_path, small_file):
    few = to_onnx(
        small_file.with_suffix(".safetensors"), tmp_path / "few.onnx", outputs=("gm_total",)
    )
    with pytest.raises(ValueError, match="few.onnx has no gg_total, n_g, .* take a semi-analytic"):
        posterior(tmp_path / "out", str(few))
    assert not (tmp_path / "out").exists()


def test_a_box_without_the_true_universe_is_refused(tmp_path, monkeypatch, model):
    h = model.metadata["parameters"]["h"] | {"low": 0.75}
    metadata = {**model.metadata, "parameters": model.metadata["parameters"] | {"h": h}}
    small = SimpleNamespace(path="small.onnx", outputs=model.outputs, k=model.k, metadata=metadata)
    monkeypatch.setattr(module, "load", lambda *_, **__: small)
    with pytest.raises(
        ValueError, match=r"small.onnx does not cover the true point .*h = 0.7 is out"
    ):
        posterior(tmp_path / "out", "small")
    assert not (tmp_path / "out").exists()


def test_a_run_that_failed_early_does_not_stand_in_the_way(model, file, tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.codes.timing.ONE_CORE", 99)
    wrong = partial(biased, model, 1.5)
    monkeypatch.setattr(module, "direct", lambda *_: {"labels": model, "pyccl": wrong})
    for seed in (1, 2):  # other settings, too
        with pytest.raises(ValueError, match="pyccl differs by 5.0e-01 in gm_total"):
            posterior(tmp_path, str(file), sampling=replace(SMALL, seed=seed))


def test_two_runs_in_one_folder_are_not_mixed(tmp_path, file):
    with exclusive(tmp_path, folder=True), pytest.raises(BusyError):
        module.STUDY.run(tmp_path, emulator=str(file))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
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
