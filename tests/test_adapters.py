"""Emulators inside pyccl, Cobaya and CosmoSIS: each in the real host, where it is installed."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from export.redshifts import Redshifts
from export.runtime import load
from export.shipped import shipped

ROOT = Path(__file__).resolve().parent.parent
COSMOLOGY = {"Om_c": 0.25, "Om_b": 0.05, "h": 0.7, "sigma_8": 0.82, "n_s": 0.96}
OCCUPATION = {"alpha": 0.9, "sigma": 0.3, "Mth": 1e12, "Mprime": 2e13, "beta": 1.0}
POINT = COSMOLOGY | OCCUPATION
ROUNDING = 1e-5


def test_redshifts_are_in_order_and_belong_together(tmp_path):
    names = [name for name in shipped() if name.split("-z")[0] == "standard"]
    family = Redshifts([*reversed(names)])
    assert list(family.z) == sorted(load(name).z for name in names)
    k = np.array([1e-3, 0.1])
    both = family(POINT, ["gg_total", "n_g"], k)
    assert both["gg_total"].shape == (len(family.z), 2)
    today = load("standard")(POINT, "gg_total", k, extrapolate=True)
    np.testing.assert_array_equal(both["gg_total"][0], today["gg_total"])
    with pytest.raises(ValueError, match=r"emulators of equal redshift: 0\.0, 0\.0"):
        Redshifts(["standard", "standard"])


# pyccl: its own halo model at the same masses, splined over the same redshifts, is what its
# angular spectra are compared with; 768 masses are good to 1e-3 per term.
PROJECTED = 3e-3


def ccl_cosmology(**more):
    pyccl = pytest.importorskip("pyccl")
    return pyccl.Cosmology(Omega_c=0.25, Omega_b=0.05, h=0.7, sigma8=0.82, n_s=0.96, **more)


@pytest.mark.parametrize(("output", "lens"), [("gg_total", True), ("gm_total", False)])
def test_pyccl_projects_it_to_angular_spectra(output, lens):
    pyccl = pytest.importorskip("pyccl")
    from benchmarks.pyccl_model import PycclHaloModel
    from datagen.halomodel import HaloModelConfig, KGrid
    from export.adapters.for_pyccl import HaloModelPk

    cosmo = ccl_cosmology()
    ours = HaloModelPk(output, **OCCUPATION).get_pk2d(cosmo)
    theta = np.array([list(POINT.values())])
    z = Redshifts().z[::-1]
    grid = KGrid(low=1e-4, high=1e2, points=300)
    rows = []
    for one in z:
        terms = PycclHaloModel(HaloModelConfig(z=float(one), k=grid))(theta)
        rows.append(terms[f"{output[:2]}_1h"][0] + terms[f"{output[:2]}_2h"][0])
    true = pyccl.Pk2D(
        a_arr=1 / (1 + z), lk_arr=np.log(grid.values()), pk_arr=np.log(rows), is_logp=True
    )
    redshift = np.linspace(0.2, 0.8, 100)
    density = np.exp(-0.5 * ((redshift - 0.5) / 0.1) ** 2)
    galaxies = pyccl.NumberCountsTracer(
        cosmo, has_rsd=False, dndz=(redshift, density), bias=(redshift, np.ones(100))
    )
    other = galaxies if lens else pyccl.WeakLensingTracer(cosmo, dndz=(redshift + 0.3, density))
    ell = np.geomspace(30, 3000, 12)
    C = [pyccl.angular_cl(cosmo, galaxies, other, ell, p_of_k_a=P) for P in (ours, true)]
    np.testing.assert_allclose(C[0], C[1], rtol=PROJECTED)


def test_pyccl_gets_the_emulators_numbers():
    from export.adapters.for_pyccl import HaloModelPk

    k, Pk = HaloModelPk("gm_1h", **OCCUPATION).get_pk_at_a(ccl_cosmology(), 1.0)
    inside = k >= 0.01
    np.testing.assert_allclose(Pk[inside], load("standard")(POINT, k=k[inside])["gm_1h"], rtol=1e-5)


def test_pyccl_adapter_refuses_what_it_does_not_know():
    from export.adapters.for_pyccl import HaloModelPk

    with pytest.raises(ValueError, match="occupation has alpha; expected alpha, sigma, Mth"):
        HaloModelPk("gg_total", alpha=1.0)
    with pytest.raises(ValueError, match="no output gg; there are"):
        HaloModelPk("gg", **OCCUPATION)
    with pytest.raises(ValueError, match="pyccl interpolates between 4 redshifts or more"):
        HaloModelPk("gg_total", ["standard"], **OCCUPATION).get_pk2d(ccl_cosmology())
    galaxies = HaloModelPk("gg_total", **OCCUPATION)
    for more, message in (({"w0": -0.9}, "w0 = -0.9: the emulators know flat LCDM"),
                          ({"Omega_k": 0.1}, "Omega_k = 0.1: "),
                          ({"m_nu": 0.1}, "m_nu = ")):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            galaxies.get_pk2d(ccl_cosmology(**more))
    with pytest.raises(ValueError, match="a = 0.9 is not of an emulator, which are at z = "):
        galaxies.get_pk_at_a(ccl_cosmology(), 0.9)


def cobaya_input(sampled, k=(0.05, 0.2, 1.0, 5.0), outputs=("gg_total", "gm_total"), **sampler):
    """A likelihood of two spectra of `POINT`, each with an error of 2 percent."""
    truth = load("standard")(POINT, outputs, k)
    data = np.log(np.concatenate([truth[name] for name in outputs]))

    def likelihood(_self=None):
        spectra = _self.provider.get_halo_model()
        model = np.log(np.concatenate([spectra[name] for name in outputs]))
        return -0.5 * float(np.square((model - data) / 0.02).sum())

    fixed = {name: value for name, value in POINT.items() if name not in sampled}
    if "log10Mth" in sampled:
        fixed["Mth"] = {"value": "lambda log10Mth: 10**log10Mth", "derived": False}
    asked = {"outputs": outputs, "k": k}
    return {
        "theory": {"export.adapters.for_cobaya.HaloModel": {"python_path": str(ROOT)}},
        "likelihood": {"mock": {"external": likelihood, "requires": {"halo_model": asked}}},
        "params": fixed | sampled,
        "sampler": sampler,
        "debug": 50,
    }


@pytest.mark.filterwarnings("ignore")  # pandas' to cobaya (3.6)
def test_cobaya_recovers_the_parameters_of_a_mock():
    cobaya = pytest.importorskip("cobaya.run")
    truth = {"sigma_8": 0.82, "log10Mth": 12.0, "beta": 1.0}
    width = {"sigma_8": 0.003, "log10Mth": 0.015, "beta": 0.005}  # of one with the others held
    box = {"sigma_8": (0.8, 1.0), "log10Mth": (10.0, 15.0), "beta": (0.1, 2.0)}
    sampled = {
        name: {
            "prior": dict(zip(("min", "max"), box[name], strict=True)),
            "ref": value + 0.02,
            "proposal": width[name],
        }
        for name, value in truth.items()
    }
    if "log10Mth" in sampled:
        sampled["log10Mth"]["drop"] = True
    mcmc = {"seed": 1, "max_samples": 1500, "Rminus1_stop": 0.02, "learn_proposal": True}
    _, sampler = cobaya.run(cobaya_input(sampled, mcmc=mcmc))
    chain = sampler.products(skip_samples=0.3)["sample"]
    errors = np.sqrt(np.diag(chain.cov()))
    for i, (name, value) in enumerate(truth.items()):
        assert abs(chain.mean()[i] - value) < 3 * errors[i], name
        assert errors[i] < 0.1 * np.diff(box[name])  # the data constrain it


def test_cobaya_sees_no_likelihood_outside_the_ranges():
    model_module = pytest.importorskip("cobaya.model")
    prior = {"sigma_8": {"prior": {"min": 0.5, "max": 1.5}}}
    model = model_module.get_model(cobaya_input(prior))
    assert model.loglike({"sigma_8": 0.82}, return_derived=False) == pytest.approx(0, abs=1e-3)
    assert model.loglike({"sigma_8": 1.2}, return_derived=False) == -np.inf


def test_cobaya_names_an_unknown_output():
    model_module = pytest.importorskip("cobaya.model")
    from cobaya.log import LoggedError

    prior = {"sigma_8": {"prior": {"min": 0.5, "max": 1.5}}}
    information = cobaya_input(prior)
    information["likelihood"]["mock"]["requires"] = {"halo_model": {"outputs": ["gg"]}}
    with pytest.raises(LoggedError, match="no output gg"):
        model_module.get_model(information)


INI = """
[runtime]
sampler = test
[pipeline]
modules = halo_model
values = {values}
[halo_model]
file = {root}/export/adapters/for_cosmosis.py
outputs = gg_total gm_1h n_g
k_min = 0.02
k_max = 10.0
n_k = 30
[test]
save_dir = {out}
fatal_errors = F
"""
VALUES = """
[cosmological_parameters]
omega_c = 0.25
omega_b = 0.05
h0 = 0.7
n_s = 0.96
sigma_8 = {sigma_8}
[hod_parameters]
alpha = 0.9
sigma = 0.3
log10_mth = 12.0
log10_mprime = 13.301029995663981
beta = 1.0
"""


def run_cosmosis(folder: Path, sigma_8: float) -> subprocess.CompletedProcess:
    """CosmoSIS on one point, as its users run it; it writes all that its modules computed."""
    if importlib.util.find_spec("cosmosis") is None:
        pytest.skip("cosmosis is not installed")
    values, ini = folder / "values.ini", folder / "run.ini"
    values.write_text(VALUES.format(sigma_8=sigma_8))
    ini.write_text(INI.format(root=ROOT, values=values, out=folder / "out"))
    return subprocess.run(
        [sys.executable, "-c", "from cosmosis.main import main; main()", str(ini)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_cosmosis_gets_the_emulators_numbers(tmp_path):
    done = run_cosmosis(tmp_path, 0.82)
    assert done.returncode == 0, done.stdout + done.stderr
    z, k_h, Pk = (
        np.loadtxt(tmp_path / "out/galaxy_power" / f"{n}.txt", ndmin=1) for n in ("z", "k_h", "p_k")
    )
    expected = Redshifts()(POINT, ["gg_total", "n_g"], k_h * 0.7)
    np.testing.assert_allclose(z, Redshifts().z)
    np.testing.assert_allclose(Pk.reshape(len(z), -1), expected["gg_total"] * 0.7**3, rtol=ROUNDING)
    n_g = np.loadtxt(tmp_path / "out/hod_numbers/n_g.txt")
    np.testing.assert_allclose(n_g, expected["n_g"], rtol=ROUNDING)
    assert (tmp_path / "out/gm_1h/p_k.txt").exists()


def test_cosmosis_is_told_of_points_outside(tmp_path):
    done = run_cosmosis(tmp_path, 1.3)
    assert "sigma_8 = 1.3 is outside the trained range" in done.stdout + done.stderr
    assert not (tmp_path / "out/galaxy_power").exists()
