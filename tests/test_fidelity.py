"""The halo model against other codes: the published one, and pyccl's own."""

from pathlib import Path

import camb
import numpy as np
import pytest
from scipy.integrate import simpson
from scipy.special import ndtr
from support import narrow
from support.narrow import TERMS, assert_close

from benchmarks.codes.pyccl_model import MASSES_REFERENCE, PycclHaloModel
from datagen.haloes import haloes_of
from datagen.halomodel import HaloModel, HaloModelConfig, nfw_fourier, panel_edges
from datagen.linear_power import LinearPowerTable, TableBox
from datagen.outputs import NUMBERS
from datagen.parallel import RayConfig, ray_session
from datagen.power import linear_power
from datagen.space import Space, complete
from export.runtime import load

REFERENCE = Path(__file__).parent / "reference"
THEIR_NAMES = {"mm": "ss", "gm": "sl", "gg": "ll"}  # source = matter, lens = galaxies

SAME_FORMULA = 1e-6  # ours and the published code's; any different ingredient shows above
QUADRATURE = 1e-4  # of ours, and of 4096 masses where a threshold is narrow
TABLE = 1e-3  # pyccl's linear power from a table, where CAMB is roughest
NARROW_TABLE = 2e-4  # the same in a narrow box, with the quadratures
CONVERGED = 3e-4  # converged CAMB and a table of it, sigma(M) and growth of pyccl and ours
# what holds everywhere and of 95 % of all points and k: that file's CAMB is not converged, and in
# it dark energy clusters
ONE_HALO, TWO_HALO = (2e-3, 5e-4), (5e-3, 2e-3)
UNRESOLVED = (13, 20)  # point and k of the linear power that the file has 2 % too low; see below


def reference(name, rows):
    """Points, and spectra by our names, of a file of numbers from another code, all at z = 0."""
    with np.load(REFERENCE / f"{name}.npz") as file:
        points = [dict(zip(file["names"], row, strict=True)) for row in file["params"][rows]]
        spectra = {
            f"{xy}_{term}": file[f"Pk_{theirs}_{term}"][rows]
            for xy, theirs in THEIR_NAMES.items()
            for term in ("1h", "2h")
        }
        theta = np.array([list(complete(point | {"z": 0.0}).values()) for point in points])
        return theta, spectra | {"P_lin": file["Pk_lin"][rows]}


@pytest.mark.parametrize("file", ["g3lhalo_linear_mass", "g3lhalo_log_mass"])
@pytest.mark.parametrize(
    "rows", [slice(3, None, 60), pytest.param(slice(None), marks=pytest.mark.slow)]
)
def test_g3lhalo_is_the_published_code(file, rows):
    """CAMB, sigma(M), trapezoid and adaptive quadrature included: nothing is fed from the file."""
    theta, theirs = reference(file, rows)
    ours = HaloModel(HaloModelConfig(model="g3lhalo", linear_power="camb"))(theta)
    assert_close(ours, theirs, SAME_FORMULA, [*TERMS, "P_lin"])


@pytest.mark.parametrize(
    "rows", [slice(3, None, 20), pytest.param(slice(None), marks=pytest.mark.slow)]
)
def test_standard_on_pyccl_s_linear_power_is_pyccl_converged(rows):
    theta, theirs = reference("pyccl_log_mass", rows)
    ours = HaloModel(HaloModelConfig(linear_power="camb", camb="pyccl"))(theta)
    assert_close(ours, theirs, QUADRATURE, [*TERMS, "P_lin"])


@pytest.mark.slow  # test_linear_power.py compares such a table with pyccl
def test_standard_on_a_table_of_pyccl_s_linear_power_is_pyccl_converged():
    theta, theirs = reference("pyccl_log_mass", [30, 34, 37])  # these lie in a narrow box
    box = TableBox(omega_c=(0.135, 0.148), baryons=(0.0222, 0.0240), nodes=(3, 3), camb="pyccl")
    table = LinearPowerTable(box, np.array([box.node(point) for point in box.points()]))
    assert_close(HaloModel(HaloModelConfig(camb="pyccl"), table)(theta), theirs, NARROW_TABLE)


@pytest.mark.slow
def test_standard_on_the_default_table_of_pyccl_s_linear_power_is_pyccl_converged():
    """320 CAMB runs."""
    config = HaloModelConfig(camb="pyccl")
    theta, theirs = reference("pyccl_log_mass", slice(None))
    with ray_session(RayConfig()):
        table = linear_power(config, Space())
    assert_close(HaloModel(config, table)(theta), theirs, TABLE)


def test_the_peer_reproduces_the_reference():
    theta, theirs = reference("pyccl_log_mass", slice(5, 6))
    ours = PycclHaloModel(HaloModelConfig(camb="pyccl"), masses=MASSES_REFERENCE)(theta)
    assert_close(ours, theirs, 1e-12, [*TERMS, "P_lin"])


# --- surveys: any redshift, amplitude and dark energy --------------------------------------------


def survey(fits, occupation):
    """Points with the parameters of an occupation by name, and spectra of a survey's file."""
    units = Space(occupation=occupation).units
    with np.load(REFERENCE / f"pyccl_survey_{fits}_{occupation}.npz") as file:
        columns = dict(zip(map(str, file["names"]), file["params"].T, strict=True))
        arrays = {term: file[term] for term in (*TERMS, "P_lin", "n_g")}
    for name in [name for name in columns if name not in units]:  # Mth, Mprime
        columns[name.removeprefix("log10")] = 10 ** columns.pop(name)
    points = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return points, arrays


def assert_survey(ours, theirs, unresolved=()):
    for name in (*TERMS, "P_lin", "n_g"):
        worst, most = ONE_HALO if name.endswith("1h") or name == "n_g" else TWO_HALO
        error = np.abs(ours[name] / theirs[name] - 1)
        if name.endswith("2h") or name == "P_lin":
            error[unresolved] = 0.0
        assert error.max() < worst, name
        assert np.percentile(error, 95) < most, name


def test_labels_are_pyccl_s_at_any_redshift_amplitude_and_dark_energy():
    points, theirs = survey("sheth99", "linke22")
    assert {name for point in points for name in point} == set(Space().names)
    theta = np.array([[point[name] for name in Space().names] for point in points])
    assert_survey(narrow.model()(theta), theirs, UNRESOLVED)


def test_the_emulator_that_ships_is_pyccl_s_at_any_redshift_amplitude_and_dark_energy():
    points, theirs = survey("sheth99", "linke22")
    rows = {name: np.array([point[name] for point in points]) for name in Space().names}
    assert_survey(load("standard")(rows), theirs, UNRESOLVED)


def test_camb_itself_is_with_the_labels_where_the_survey_s_misses_a_wiggle():
    """At a third of baryons, where CAMB's own wavenumbers are too few by default; 2 % there."""
    points, theirs = survey("sheth99", "linke22")
    point, k = points[UNRESOLVED[0]], narrow.model().k
    near = UNRESOLVED[1] + np.array([-3, 0])  # the one that is missed, and another for comparison
    assert point["Om_b"] > 0.35 * (point["Om_c"] + point["Om_b"])
    parameters = camb.set_params(
        H0=100 * point["h"], omch2=point["Om_c"] * point["h"] ** 2, WantTransfer=True,
        ombh2=point["Om_b"] * point["h"] ** 2, ns=point["n_s"], mnu=0.0, nnu=3.044, TCMB=2.7255,
        w=point["w0"], wa=point["wa"], dark_energy_model="ppf",
    )  # fmt: skip
    parameters.set_matter_power(redshifts=[point["z"]], kmax=2.0, k_per_logint=50)
    power = camb.get_results(parameters).get_matter_power_interpolator(
        nonlinear=False, hubble_units=False, k_hunit=False
    )
    expected = np.divide(*power.P(point["z"], k[near]))
    ours = narrow.model()(np.array([[point[name] for name in Space().names]]))["P_lin"][0, near]
    assert np.divide(*ours) == pytest.approx(expected, rel=1e-3)
    assert np.divide(*theirs["P_lin"][UNRESOLVED[0], near]) > 1.015 * expected


TINKER10 = {"mass_function": "Tinker10", "halo_bias": "Tinker10", "log10M_min": 8.0}


def test_labels_of_another_occupation_are_pyccl_s():
    points, theirs = survey("tinker10", "zheng07")
    theta = np.array([list(complete(point, "zheng07").values()) for point in points])
    model = HaloModel(HaloModelConfig(**TINKER10), narrow.table(), "zheng07")
    assert_survey(model(theta), theirs)


def zheng07(M, point):
    """Centrals, and satellites of a central, in haloes of mass M [Msun]; Zheng et al. 2007."""
    N_c = ndtr(np.sqrt(2) * (np.log10(M) - point["log10Mmin"]) / point["sigma_logM"])
    satellites = np.maximum(M - 10 ** point["log10M0"], 0.0) / 10 ** point["log10M1"]
    return N_c, satellites ** point["alpha"]


def integrals(point, haloes, k):
    """The halo model of galaxies whose satellites live only beside a central, by itself."""
    ln_min, ln_max = np.log(1e8), np.log(1e17)
    threshold = point["log10Mmin"] + point["sigma_logM"] * np.arange(-3, 4)
    cuts = np.clip(np.log(10) * np.array([*threshold, point["log10M0"]]), ln_min, ln_max)
    edges = np.sort([*panel_edges(ln_min, ln_max, 40), *cuts])
    x, w = np.polynomial.legendre.leggauss(16)
    half, middle = np.diff(edges)[:, None] / 2, (edges[1:] + edges[:-1])[:, None] / 2
    M = np.exp((middle + half * x).ravel())
    dn_dlnM, b = haloes.dn_dlnM_and_bias(M)
    n = (half * w).ravel() * dn_dlnM
    N_c, satellites = zheng07(M, point)
    N_s, rho_m = N_c * satellites, haloes.rho_m

    def u(M):
        return nfw_fourier(k, haloes.radius(M), haloes.concentration(M))

    n_g, pairs = n @ (N_c + N_s), n * N_s * satellites
    I_g = (n * b) @ (N_c[:, None] + N_s[:, None] * u(M)) / n_g
    below = (rho_m - (n * b) @ M) * u(np.array([1e8]))[0]
    I_m = ((n * b * M) @ u(M) + below) / rho_m
    return {
        "mm_1h": (n * M**2) @ u(M) ** 2 / rho_m**2,
        "mm_2h": I_m**2 * haloes.P_lin,
        "gm_1h": ((n * N_c * M) @ u(M) + (n * N_s * M) @ u(M) ** 2) / (n_g * rho_m),
        "gm_2h": I_g * I_m * haloes.P_lin,
        "gg_1h": (2 * (n * N_s) @ u(M) + pairs @ u(M) ** 2) / n_g**2,
        "gg_2h": I_g**2 * haloes.P_lin,
        "P_lin": haloes.P_lin,
        "n_g": n_g,
    }


def test_haloes_of_tinker_are_pyccl_s_at_any_redshift_amplitude_and_dark_energy():
    """From 1e8 Msun, by integrals of this file's own."""
    points, theirs = survey("tinker10", "zheng07")
    config = HaloModelConfig(**TINKER10)
    k, names = config.k.values(), narrow.columns(narrow.points(1))
    columns = {name: np.array([point[name] for point in points]) for name in names}
    haloes = haloes_of(columns, config.fits(), k, narrow.table())
    rows = [integrals(point, found, k) for point, found in zip(points, haloes, strict=True)]
    assert_survey({name: np.array([row[name] for row in rows]) for name in rows[0]}, theirs)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"mass_function": "Tinker08", "halo_bias": "Tinker10", "log10M_min": 11.0},
        {"mass_function": "Despali16", "mass_def": "200c", "concentration": "Diemer15"}
        | {"halo_bias": "Tinker10"},
    ],
    ids=["Sheth99", "Tinker08", "200c"],
)
def test_other_masses_and_fits_are_pyccl_s_at_other_redshifts(options, monkeypatch):
    monkeypatch.setattr("benchmarks.codes.pyccl_model.camb_cosmology", lambda *_: narrow.camb())
    theta = narrow.fiducial(2, seed=3, sigma=0.3, Mth=[1e12, 1e13], z=[0.3, 1.2])
    theirs = PycclHaloModel(HaloModelConfig(**options), masses=2048)(theta)
    assert_close(narrow.model(**options)(theta), theirs, CONVERGED, [*TERMS, "P_lin"])


def test_derived_numbers_are_direct_integrals():
    """n_g, b_eff, f_sat and the mean mass by Simpson's rule over pyccl's n(M) and b(M)."""
    theta = narrow.fiducial(1, seed=2, sigma=0.4)
    ours = narrow.model()(theta)
    M = np.geomspace(1e10, 1e17, 4001)
    dn_dlnM, b = HaloModelConfig().fits().dn_dlnM_and_bias(narrow.camb(), M, 1.0)
    p = dict(zip(Space().names, theta[0], strict=True))
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
    assert tuple(expected) == NUMBERS
    for name, value in expected.items():
        assert ours[name][0] == pytest.approx(value, rel=CONVERGED), name


def test_peer_has_no_g3lhalo():
    with pytest.raises(ValueError, match="'standard' model only"):
        PycclHaloModel(HaloModelConfig(model="g3lhalo"))
