"""An emulator inside CosmoSIS: in the real host where it is installed, else in a stand-in block."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.hosts import COSMOLOGY as INPUTS
from support.hosts import OCCUPATION, POINT, ZHENG07, datablock

from export.runtime import load
from export.to_onnx import rewrite

ROOT = Path(__file__).resolve().parent.parent
ROUNDING = 1e-5
H = POINT["h"]
COSMOLOGY = {"omega_c": 0.25, "omega_b": 0.05, "h0": H, "n_s": 0.96, "sigma_8": 0.82}
HOD = {name: OCCUPATION[name] for name in ("alpha", "sigma", "beta")} | {
    "log10_mth": 12.0,
    "log10_mprime": float(np.log10(2e13)),
}


@pytest.fixture(scope="module")
def emulator(small_file):
    return load(small_file)


@pytest.fixture
def host(monkeypatch, small_file):
    """The module as CosmoSIS calls it, and its class of blocks."""
    for name in ("cosmosis", "cosmosis.datablock", "export.adapters.for_cosmosis"):
        monkeypatch.setitem(sys.modules, name, None)  # what is there is put back in the end
        del sys.modules[name]
    blocks = datablock()
    monkeypatch.setitem(OPTIONS, "emulator", str(small_file))
    return importlib.import_module("export.adapters.for_cosmosis"), blocks.DataBlock


OPTIONS = {"file": "module.py"}


def options(block, **given):
    for name, value in (OPTIONS | given).items():
        block["module_options", name] = value
    return block


def fill(block, cosmology=(), hod=(), without=()):
    for section, values in (
        ("cosmological_parameters", COSMOLOGY | dict(cosmology)),
        ("hod_parameters", HOD | dict(hod)),
    ):
        for name, value in values.items():
            if name not in without:
                block[section, name] = value
    return block


def test_spectra_and_numbers_have_the_units_of_cosmosis(host, emulator):
    module, DataBlock = host
    config = module.setup(options(DataBlock(), outputs="gg_total gm_1h n_g b_eff", n_k=30))
    block = fill(DataBlock())
    assert module.execute(block, config) == 0
    k_h, z = block["galaxy_power", "k_h"], np.linspace(0, 2, 50)
    expected = emulator(POINT | {"z": z}, ["gg_total", "n_g", "b_eff"], k_h * H, extrapolate=True)
    np.testing.assert_allclose(
        block["galaxy_power", "p_k"], expected["gg_total"] * H**3, rtol=ROUNDING
    )
    assert block.get_metadata("galaxy_power", "p_k", "unit") == "(Mpc/h)^3"
    np.testing.assert_allclose(block["hod_numbers", "n_g"], expected["n_g"] / H**3, rtol=ROUNDING)
    assert block.get_metadata("hod_numbers", "n_g", "unit") == "(h/Mpc)^3"
    np.testing.assert_allclose(block["hod_numbers", "b_eff"], expected["b_eff"], rtol=ROUNDING)
    for section in ("galaxy_power", "gm_1h", "hod_numbers"):
        np.testing.assert_allclose(block[section, "z"], z)
    assert block["gm_1h", "p_k"].shape == (50, 30)


def test_redshifts_are_those_of_the_ini_file(host, emulator):
    module, DataBlock = host
    given = {"z_min": 0.2, "z_max": 1, "n_z": 5}
    block = fill(DataBlock())
    assert module.execute(block, module.setup(options(DataBlock(), **given))) == 0
    z = [0.2, 0.4, 0.6, 0.8, 1.0]
    np.testing.assert_allclose(block["galaxy_power", "z"], z)
    expected = emulator(POINT | {"z": z[3]}, "gg_total", block["galaxy_power", "k_h"][100:] * H)
    ours = block["galaxy_power", "p_k"][3, 100:]
    np.testing.assert_allclose(ours, expected["gg_total"] * H**3, rtol=ROUNDING)
    single = module.setup(options(DataBlock(), z_min=0.5, z_max=0.5))
    assert single["z"].tolist() == [0.5]


def test_dark_energy_is_read(host, emulator):
    module, DataBlock = host
    config = module.setup(options(DataBlock(), outputs="n_g", n_z=3))
    for given in ({"w": -0.8, "wa": -0.5}, {"w": -0.8}, {"wa": 0.4}, {"w": -1, "w0": -1.0}):
        block = fill(DataBlock(), given)
        assert module.execute(block, config) == 0
        point = {"w0": given.get("w", -1.0), "wa": given.get("wa", 0.0), "z": [0.0, 1.0, 2.0]}
        expected = emulator(POINT | point, "n_g")["n_g"]
        np.testing.assert_allclose(block["hod_numbers", "n_g"], expected / H**3, rtol=ROUNDING)


@pytest.fixture
def rewritten(small_file, tmp_path):
    """A file of one redshift, of a dark energy that is no cosmological constant, and one alpha."""
    path = shutil.copy(small_file, tmp_path / "rewritten.onnx")
    parameters = load(path).metadata["parameters"]
    for name, value in {"z": 0.5, "w0": -0.9, "alpha": 1.0}.items():
        parameters[name] |= {"low": value, "high": value, "default": value}
    rewrite(path, parameters=parameters)
    return path


def test_what_an_emulator_holds_fixed(host, rewritten, capsys):
    module, DataBlock = host
    config = module.setup(options(DataBlock(), emulator=str(rewritten)))
    block = fill(DataBlock(), {"w": -0.9}, without=["alpha"])
    assert module.execute(block, config) == 0
    assert block["galaxy_power", "z"].tolist() == [0.5]
    assert module.execute(fill(DataBlock()), config) == 1  # no w is a cosmological constant
    assert "w0 = -1 is outside the trained range [-0.9, -0.9]" in capsys.readouterr().out
    with pytest.raises(ValueError, match="z_max = 1: rewritten is for z = 0.5 only"):
        module.setup(options(DataBlock(), emulator=str(rewritten), z_max=1))


@pytest.mark.parametrize(
    "others",
    [
        {"w": -1.0, "wa": 0.0, "omega_k": 0.0, "mnu": 0.0, "nnu": 3.046, "TCMB": 2.7255},
        {"omega_m": 0.3, "ommh2": 0.147, "ombh2": 0.0245, "omch2": 0.1225, "hubble": 70.0},
        {"omega_lambda": 0.7, "baryon_fraction": 0.05 / 0.3, "S_8": 0.82, "omnuh2": 0.0},
        {"A_s": 2e-9, "tau": 0.08, "num_massive_neutrinos": 3, "A_lens": 1.0},
        {"consistency_module_was_used": True, "n_eff": 3.044, "sigma_12": 0.8, "w": -1},
    ],
)
def test_what_other_modules_write_for_lcdm_is_accepted(host, others):
    module, DataBlock = host
    config = module.setup(options(DataBlock()))
    assert module.execute(fill(DataBlock(), others), config) == 0


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("omega_k", -0.0027, "flat w0waCDM without massive neutrinos, omega_k = 0"),
        ("mnu", 0.06, "mnu = 0"),
        ("omnuh2", 0.00064, "omnuh2 = 0"),
        ("nnu", 2.0, "nnu = 3.044"),
        ("tcmb", 2.0, "tcmb = 2.7255"),
        ("nrun", 0.01, "nrun = 0"),
        ("omega_m", 0.31, "does not agree with the other parameters, 0.3 would"),
        ("w0", -0.8, "does not agree with the other parameters, -1 would"),
        ("hubble", 67.0, "does not agree with the other parameters, 70 would"),
        ("sigma8_input", 0.8, "does not agree with the other parameters, 0.82 would"),
        ("fifth_force", 0.1, "is not known to the emulators"),
        ("profile", "tabulated", "is not known to the emulators"),
    ],
)
def test_physics_that_the_emulators_do_not_know_ends_a_point(host, capsys, name, value, reason):
    module, DataBlock = host
    config = module.setup(options(DataBlock()))
    block = fill(DataBlock(), {name: value})
    assert module.execute(block, config) == 1
    printed = capsys.readouterr().out
    assert printed.startswith(f"hodspectra: cosmological_parameters: {name} = ")
    assert reason in printed
    assert not block.has_section("galaxy_power")


def test_tabulated_dark_energy_ends_a_point(host, capsys):
    module, DataBlock = host
    block = fill(DataBlock())
    block["de_equation_of_state", "w"] = np.array([-0.9, -0.95])
    assert module.execute(block, module.setup(options(DataBlock()))) == 1
    assert "de_equation_of_state: the emulators know flat w0waCDM" in capsys.readouterr().out


def test_an_occupation_that_the_emulators_do_not_have_ends_a_point(host, capsys):
    module, DataBlock = host
    block = fill(DataBlock(), hod={"assembly_bias": 0.3})
    assert module.execute(block, module.setup(options(DataBlock()))) == 1
    assert "hod_parameters: assembly_bias = 0.3 is not known" in capsys.readouterr().out


def test_parameters_without_effect_can_be_ignored(host):
    module, DataBlock = host
    config = module.setup(options(DataBlock(), ignore="Fifth_Force blinding"))
    block = fill(DataBlock(), {"fifth_force": 0.1, "blinding": 2.0})
    assert module.execute(block, config) == 0


def test_points_outside_the_ranges_end_with_the_reason(host, capsys):
    module, DataBlock = host
    config = module.setup(options(DataBlock()))
    for cosmology, hod, reason in (
        ({"sigma_8": 1.3}, {}, "row 0: sigma_8 = 1.3 is outside the trained range [0.6, 1.2]"),
        ({"w": -0.2}, {}, "row 0: w0 = -0.2 is outside the trained range [-2, -0.3]"),
        ({"w": -0.4, "wa": 0.5}, {}, "row 0 lies where w0 + wa is not below -0.1"),
        ({}, {"log10_mth": 1e12}, "row 0: Mth = 1e+300 is outside the trained range"),
    ):
        block = fill(DataBlock(), cosmology, hod)
        assert module.execute(block, config) == 1
        printed = capsys.readouterr().out
        assert printed.startswith(f"hodspectra: {reason}")
        assert len(printed) < 150  # not once for each redshift
        assert not block.has_section("galaxy_power")


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("sigma_8", "cosmological_parameters has no sigma_8; the emulators need sigma_8"),
        ("log10_mth", "hod_parameters has no log10_mth; the emulators need Mth, the decadic log"),
    ],
)
def test_a_parameter_that_is_missing_stops_the_run(host, missing, message):
    module, DataBlock = host
    with pytest.raises(ValueError, match=message):
        module.execute(fill(DataBlock(), without=[missing]), module.setup(options(DataBlock())))


def test_spectra_of_other_modules_stay_as_they_are(host):
    module, DataBlock = host
    block = fill(DataBlock())
    z, k_h = np.arange(3.0), np.geomspace(1e-3, 1, 4)
    for section in ("matter_power_nl", "matter_power_lin"):
        block.put_grid(section, "z", z, "k_h", k_h, "p_k", np.ones((3, 4)))
    assert module.execute(block, module.setup(options(DataBlock()))) == 0
    for section in ("matter_power_nl", "matter_power_lin"):
        np.testing.assert_array_equal(block[section, "z"], z)
        np.testing.assert_array_equal(block[section, "p_k"], np.ones((3, 4)))
    asked = module.setup(options(DataBlock(), outputs="mm_total"))
    with pytest.raises(ValueError, match="matter_power_nl/p_k was written by another module, and"):
        module.execute(block, asked)
    np.testing.assert_array_equal(block["matter_power_nl", "p_k"], np.ones((3, 4)))


def test_matter_power_is_written_where_there_is_none(host):
    module, DataBlock = host
    block = fill(DataBlock())
    assert module.execute(block, module.setup(options(DataBlock(), outputs="mm_total"))) == 0
    assert block["matter_power_nl", "p_k"].shape == (50, 200)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"outputs": "gg"}, "outputs = gg must be some of mm_1h, "),
        ({"outputs": ""}, "outputs = nothing must be some of mm_1h, "),
        ({"ks": 3}, "no option ks; there are bins, .*, emulator, file, "),
        ({"k_max": 115}, "at k_max = 115 h/Mpc and h = 0.91: k.199. = 104.65 1/Mpc is outs"),
        ({"k_max": "big"}, "k_max = big must be a number"),
        ({"z_max": 3}, "z_max = 3: small is for z = 0 to 2"),
        ({"z_min": -0.1}, "z_min = -0.1: small is for z = 0 to 2"),
        ({"z_max": float("nan")}, "z_min = 0, z_max = nan, n_z = 50: there must be two redshifts"),
        ({"z_min": 1.0, "z_max": 0.5}, "z_min = 1, z_max = 0.5, n_z = 50: there must be two"),
        ({"n_z": 1}, "n_z = 1: there must be two redshifts or more, ascending, or a single one"),
        ({"n_z": 2.5}, "n_z = 2.5 must be an integer"),
        ({"k_min": -1.0}, "k_min = -1, k_max = 100, n_k = 200: there must be two"),
        ({"n_k": 1}, "n_k = 1: there must be two wavenumbers or more"),
        ({"n_k": 2.5}, "n_k = 2.5 must be an integer"),
    ],
)
def test_errors_of_the_ini_file_come_at_set_up(host, given, message):
    module, DataBlock = host
    with pytest.raises(ValueError, match=message):
        module.setup(options(DataBlock(), **given))


def test_whole_numbers_and_options_of_all_modules_are_taken(host):
    module, DataBlock = host
    block = options(DataBlock(), k_max=10, shared="x", z_min=0, n_z=3)
    block["_cosmosis_default_section", "shared"] = "x"
    config = module.setup(block)
    np.testing.assert_allclose(config["k_h"][[0, -1]], [1e-4, 10])
    assert module.execute(fill(DataBlock()), config) == 0


INI = """
[runtime]
sampler = test
[pipeline]
modules = halo_model
values = {values}
[halo_model]
file = {root}/export/adapters/for_cosmosis.py
emulator = {emulator}
n_z = 4
outputs = gg_total gm_1h n_g
k_min = 0.02
k_max = 10
n_k = 30
[test]
save_dir = {out}
fatal_errors = F
"""


def run_cosmosis(folder: Path, emulator: Path, **cosmology: float) -> subprocess.CompletedProcess:
    """CosmoSIS on one point, as its users run it; it writes all that its modules computed."""
    if importlib.util.find_spec("cosmosis") is None:
        pytest.skip("cosmosis is not installed")
    values, ini = folder / "values.ini", folder / "run.ini"
    sections = {"cosmological_parameters": COSMOLOGY | cosmology, "hod_parameters": HOD}
    values.write_text(
        "".join(
            f"[{section}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
            for section, entries in sections.items()
        )
    )
    ini.write_text(INI.format(root=ROOT, emulator=emulator, values=values, out=folder / "out"))
    return subprocess.run(
        [sys.executable, "-c", "from cosmosis.main import main; main()", str(ini)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_cosmosis_gets_the_emulators_numbers(tmp_path, small_file):
    done = run_cosmosis(tmp_path, small_file, w=-0.8)
    assert done.returncode == 0, done.stdout + done.stderr
    z, k_h, Pk = (
        np.loadtxt(tmp_path / "out/galaxy_power" / f"{n}.txt", ndmin=1) for n in ("z", "k_h", "p_k")
    )
    np.testing.assert_allclose(z, np.linspace(0, 2, 4))
    point = POINT | {"w0": -0.8, "z": z}
    expected = load(small_file)(point, ["gg_total", "n_g"], k_h * H)
    np.testing.assert_allclose(Pk.reshape(len(z), -1), expected["gg_total"] * H**3, rtol=ROUNDING)
    n_g = np.loadtxt(tmp_path / "out/hod_numbers/n_g.txt")
    np.testing.assert_allclose(n_g, expected["n_g"] / H**3, rtol=ROUNDING)
    assert (tmp_path / "out/gm_1h/p_k.txt").exists()


@pytest.mark.parametrize(
    ("cosmology", "reason"),
    [
        ({"sigma_8": 1.3}, "sigma_8 = 1.3 is outside the trained range"),
        ({"mnu": 0.06}, "mnu = 0.06: the emulators know flat w0waCDM"),
    ],
)
def test_cosmosis_is_told_of_points_that_have_no_answer(tmp_path, small_file, cosmology, reason):
    done = run_cosmosis(tmp_path, small_file, **cosmology)
    assert reason in done.stdout + done.stderr
    assert not (tmp_path / "out/galaxy_power").exists()


def test_galaxies_of_another_occupation(host, small_file, capsys):
    module, DataBlock = host
    config = module.setup(options(DataBlock(), occupation="zheng07", z_min=0.5, z_max=0.5))
    block = DataBlock()
    for section, values in (("cosmological_parameters", COSMOLOGY), ("hod_parameters", ZHENG07)):
        for name, value in values.items():
            block[section, name.lower()] = value
    assert module.execute(block, config) == 0
    k = block["galaxy_power", "k_h"] * H
    expected = load(small_file, occupation="zheng07")(
        INPUTS | ZHENG07 | {"z": 0.5}, "gg_total", k, extrapolate=True
    )
    ours = block["galaxy_power", "p_k"][0]
    np.testing.assert_allclose(ours, expected["gg_total"] * H**3, rtol=ROUNDING)
    assert module.execute(fill(DataBlock(), hod=ZHENG07), config) == 1
    assert "hod_parameters: beta = 1 is not known" in capsys.readouterr().out
    lacking = fill(DataBlock(), hod=ZHENG07, without=("log10Mmin",))
    with pytest.raises(ValueError, match=r"no log10mmin; .* need log10Mmin \[log10 Msun\]"):
        module.execute(lacking, config)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("zheng", "no occupation 'zheng' .did you mean 'zheng07'"),
        ("red: zheng07 blue: hmq", "must be one name; two populations"),
    ],
)
def test_an_occupation_that_there_is_not_is_refused(host, name, message):
    module, DataBlock = host
    with pytest.raises(ValueError, match=message):
        module.setup(options(DataBlock(), occupation=name))
