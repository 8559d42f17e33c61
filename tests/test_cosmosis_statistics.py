"""What surveys measure, written by the module of CosmoSIS: in its host, or in a stand-in block."""

import importlib
import sys

import numpy as np
import pytest
from support.hosts import OCCUPATION, POINT, datablock

from export.runtime import load
from export.statistics import DeltaSigma, Wp, Xi

ROUNDING = 1e-5
H = POINT["h"]
COSMOLOGY = {"omega_c": 0.25, "omega_b": 0.05, "h0": H, "n_s": 0.96, "sigma_8": 0.82}
HOD = {name: OCCUPATION[name] for name in ("alpha", "sigma", "beta")} | {
    "log10_mth": 12.0,
    "log10_mprime": float(np.log10(2e13)),
}
R_P, R = np.array([0.2, 1.0, 10.0, 30.0]), np.array([0.1, 1.0, 10.0])
Z = np.array([0.2, 0.6, 1.0])
GRID = {"z_min": 0.2, "z_max": 1.0, "n_z": 3}


@pytest.fixture(scope="module")
def emulator(small_file):
    return load(small_file)


@pytest.fixture
def run(monkeypatch, small_file):
    """The module, once, on one point."""
    for name in ("cosmosis", "cosmosis.datablock", "export.adapters.for_cosmosis"):
        monkeypatch.setitem(sys.modules, name, None)  # what is there is put back in the end
        del sys.modules[name]
    blocks = datablock()
    module = importlib.import_module("export.adapters.for_cosmosis")

    def execute(hod=(), before=(), status=0, **given):
        options, block = blocks.DataBlock(), blocks.DataBlock()
        given = {"file": "module.py", "emulator": str(small_file)} | GRID | given
        for name, value in given.items():
            options["module_options", name] = value
        config = module.setup(options)
        for name, value in COSMOLOGY.items():
            block["cosmological_parameters", name] = value
        for name, value in (HOD | dict(hod)).items():
            block["hod_parameters", name] = value
        for key in before:
            block[key] = 1.0
        assert module.execute(block, config) == status
        return block

    return execute


def test_statistics_are_grids_with_h(run, emulator):
    block = run(w_p=R_P, pi_max=60, delta_sigma=R, xi_gm=R, outputs="n_g")
    w_p, Delta_Sigma = Wp(R_P, 60, lengths="Mpc/h"), DeltaSigma(R, lengths="Mpc/h")
    expected = emulator(POINT | {"z": Z}, [w_p, Delta_Sigma, Xi(R, "gm", lengths="Mpc/h"), "n_g"])
    for section, name, axis, factor in (
        ("w_p", "w_p", "r_p", 1.0),
        ("delta_sigma", "Delta_Sigma", "r", 1e-12 / H),  # Msun/Mpc^2 in h Msun/pc^2
        ("xi_gm", "xi_gm", "r", 1.0),
    ):
        values = block[section, section]
        assert values.shape == (3, len(block[section, axis]))
        np.testing.assert_allclose(values, expected[name] * factor, rtol=ROUNDING)
        np.testing.assert_allclose(block[section, "z"], Z)
        assert block.get_metadata(section, axis, "unit") == "Mpc/h"
    np.testing.assert_array_equal(block["w_p", "r_p"], R_P)
    np.testing.assert_array_equal(block["delta_sigma", "r"], R)
    assert block.get_metadata("w_p", "w_p", "unit") == "Mpc/h"
    assert block.get_metadata("delta_sigma", "delta_sigma", "unit") == "h Msun/pc^2"
    np.testing.assert_allclose(block["hod_numbers", "n_g"], expected["n_g"] / H**3, rtol=ROUNDING)


def test_statistics_stand_beside_the_spectra_or_alone(run):
    block = run(w_p=1.0)
    assert block["w_p", "w_p"].shape == (3, 1)
    assert block["galaxy_power", "p_k"].shape == (3, 200)
    assert not run(w_p=R_P, outputs="").has_section("galaxy_power")


def test_bins_kaiser_and_physical_lengths(run, emulator):
    given = {"bins": True, "kaiser": True, "pi_max": 60.0, "physical": True}
    block = run(w_p=R_P, outputs="", **given)
    one = Wp(R_P, 60, kaiser=True, bins=True, physical=True, lengths="Mpc/h")
    expected = emulator(POINT | {"z": Z}, one)["w_p"]
    np.testing.assert_allclose(block["w_p", "w_p"], expected, rtol=ROUNDING)
    np.testing.assert_array_equal(block["w_p", "r_p_edges"], R_P)
    np.testing.assert_allclose(block["w_p", "r_p"], np.sqrt(R_P[:-1] * R_P[1:]))


def test_units_and_point_masses(run, emulator, capsys):
    given = {"delta_sigma": R, "outputs": "", "units": "Msun/pc^2", "point_mass": True}
    block = run(hod={"log10_m_point": 11.5}, **given)
    one = DeltaSigma(R, units="Msun/pc^2", lengths="Mpc/h", point_mass=10**11.5)
    expected = emulator(POINT | {"z": Z}, one)["Delta_Sigma"]
    np.testing.assert_allclose(block["delta_sigma", "delta_sigma"], expected, rtol=ROUNDING)
    assert block.get_metadata("delta_sigma", "delta_sigma", "unit") == "Msun/pc^2"
    with pytest.raises(ValueError, match="hod_parameters has no log10_m_point; the emulators need"):
        run(**given)
    run(hod={"log10_m_point": 11.5}, status=1, **given | {"point_mass": False})
    assert "log10_m_point = 11.5 is not known" in capsys.readouterr().out


def test_points_outside_the_ranges_have_none(run, capsys):
    run(hod={"alpha": 7.0}, status=1, w_p=R_P)
    assert "alpha = 7 is outside the trained range" in capsys.readouterr().out


def test_what_another_module_has_written_is_not_replaced(run):
    with pytest.raises(ValueError, match="w_p/w_p was written by another module, and is not repl"):
        run(w_p=R_P, before=[("w_p", "w_p")])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"w_p": [1.0, 0.5]}, r"w_p = \[1.0, 0.5\]: Wp: r_p must increase"),
        ({"w_p": "small"}, "w_p = small: Wp: r_p = 'small' is not a real number"),
        ({"w_p": [1e-3]}, "Wp: r_p reaches .* Mpc .comoving., outside"),
        ({"w_p": R_P, "pi_max": -1.0}, "pi_max = -1.0 must be one number above 0"),
        ({"pi_max": 60.0}, "pi_max is of w_p, which is not requested"),
        ({"w_p": R_P, "units": "Msun/pc^2"}, "units is of delta_sigma, sigma, which is not req"),
        ({"delta_sigma": R, "units": "g/cm^2"}, "units = 'g/cm.2' must be"),
        ({"w_p": R_P, "kaiser": "maybe"}, "kaiser = maybe must be T or F"),
        ({"w_p": R_P, "kaiser": True}, "kaiser is for galaxies .* and a finite pi_max"),
        ({"wp": R_P}, "no option wp; there are .*w_p"),
        ({"outputs": ""}, "outputs = nothing must be some of"),
    ],
)
def test_errors_of_the_ini_file_come_at_set_up(run, given, message):
    with pytest.raises(ValueError, match=message):
        run(**given)
