"""The halo model against other codes: the published one, and pyccl's own."""

from pathlib import Path

import narrow
import numpy as np
import pytest
from narrow import TERMS, assert_close
from scipy.integrate import simpson
from scipy.special import ndtr

from benchmarks.pyccl_model import MASSES_REFERENCE, PycclHaloModel
from datagen.generate import load_table
from datagen.halomodel import DERIVED, HaloModel, HaloModelConfig
from datagen.parallel import RayConfig, ray_session
from datagen.space import PARAMETERS, Space

REFERENCE = Path(__file__).parent / "reference"
THEIR_NAMES = {"mm": "ss", "gm": "sl", "gg": "ll"}  # source = matter, lens = galaxies

SAME_FORMULA = 1e-6  # ours and the published code's; any different ingredient shows above
QUADRATURE = 1e-4  # of ours, and of 4096 masses where a threshold is narrow
TABLE = 1e-3  # linear power from the table, where CAMB is roughest; see benchmarks.convergence
NARROW_TABLE = 2e-4  # the same in the narrow box of these tests, with the quadratures


def reference(name, rows):
    """Points, and spectra by our names, of a file of numbers from another code."""
    with np.load(REFERENCE / f"{name}.npz") as file:
        assert list(file["names"]) == list(PARAMETERS)
        spectra = {
            f"{xy}_{term}": file[f"Pk_{theirs}_{term}"][rows]
            for xy, theirs in THEIR_NAMES.items()
            for term in ("1h", "2h")
        }
        return file["params"][rows], spectra | {"P_lin": file["Pk_lin"][rows]}


@pytest.mark.parametrize("file", ["g3lhalo_linear_mass", "g3lhalo_log_mass"])
@pytest.mark.parametrize(
    "rows", [slice(3, None, 13), pytest.param(slice(None), marks=pytest.mark.slow)]
)
def test_g3lhalo_is_the_published_code(file, rows):
    """CAMB, sigma(M), trapezoid and adaptive quadrature included: nothing is fed from the file."""
    theta, theirs = reference(file, rows)
    ours = HaloModel(HaloModelConfig(model="g3lhalo", linear_power="camb"))(theta)
    assert_close(ours, theirs, SAME_FORMULA, [*TERMS, "P_lin"])


@pytest.mark.parametrize(
    "rows", [slice(3, None, 8), pytest.param(slice(None), marks=pytest.mark.slow)]
)
def test_standard_is_pyccl_converged(rows):
    theta, theirs = reference("pyccl_log_mass", rows)
    assert_close(HaloModel(HaloModelConfig(linear_power="camb"))(theta), theirs, QUADRATURE)


def test_standard_on_the_table_is_pyccl_converged():
    theta, theirs = reference("pyccl_log_mass", [30, 34, 37])  # these lie in the narrow box
    assert_close(narrow.model()(theta), theirs, NARROW_TABLE)


@pytest.mark.slow
def test_standard_on_the_default_table_is_pyccl_converged():
    """320 CAMB runs."""
    config = HaloModelConfig()
    theta, theirs = reference("pyccl_log_mass", slice(None))
    with ray_session(RayConfig()):
        table = load_table(config, Space())
    assert_close(HaloModel(config, table)(theta), theirs, TABLE)


def test_the_peer_reproduces_the_reference():
    theta, theirs = reference("pyccl_log_mass", slice(5, 6))
    ours = PycclHaloModel(masses=MASSES_REFERENCE)(theta)
    assert_close(ours, theirs, 1e-12, [*TERMS, "P_lin"])


@pytest.mark.parametrize(
    "options",
    [
        {"z": 1.0},
        {"mass_function": "Tinker08", "halo_bias": "Tinker10", "log10M_min": 11.0, "z": 0.3},
    ],
)
def test_other_redshifts_masses_and_fits_are_pyccl_s(options):
    theta = narrow.points(2, seed=3, sigma=0.3, Mth=[1e12, 3e13])
    theirs = PycclHaloModel(HaloModelConfig(**options), masses=2048)(theta)
    assert_close(narrow.model(**options)(theta), theirs, NARROW_TABLE)


def test_derived_numbers_are_direct_integrals():
    """n_g, b_eff, f_sat and the mean mass by Simpson's rule over pyccl's n(M) and b(M)."""
    theta = narrow.fiducial(1, seed=2, sigma=0.4)
    ours = narrow.model()(theta)
    M = np.geomspace(1e10, 1e17, 4001)
    dn_dlnM, b = HaloModelConfig().fits().dn_dlnM_and_bias(narrow.camb(), M, 1.0)
    p = dict(zip(PARAMETERS, theta[0], strict=True))
    e = ndtr(np.log(M / p["Mth"]) / p["sigma"])
    N_s = e * (M / p["Mprime"]) ** p["beta"]
    N = p["alpha"] * e + N_s

    def integral(f):
        return simpson(dn_dlnM * f, x=np.log(M))

    n_g = integral(N)
    expected = {
        "n_g": n_g,
        "b_eff": integral(b * N) / n_g,
        "f_sat": integral(N_s) / n_g,
        "mean_mass": integral(M * N) / n_g,
    }
    assert expected.keys() == DERIVED.keys()
    for name, value in expected.items():
        assert ours[name][0] == pytest.approx(value, rel=NARROW_TABLE), name


def test_peer_has_no_g3lhalo():
    with pytest.raises(ValueError, match="'standard' model only"):
        PycclHaloModel(HaloModelConfig(model="g3lhalo"))
