"""What adapters share: what hosts leave unsaid, redshifts, the physics that they hold hosts to."""

import shutil

import numpy as np
import pytest
from support.hosts import COSMOLOGY, POINT

from export.adapters.common import at_redshifts, centre, left_out, redshifts, rehearse, words
from export.adapters.physics import FIXED, Fixed, OneOf, Vocabulary
from export.ranges import OutOfRange
from export.runtime import load
from export.to_onnx import rewrite


@pytest.fixture(scope="module")
def emulator(small_file):
    return load(small_file)


@pytest.fixture
def changed(small_file, tmp_path):
    """What makes a copy of the small emulator with other ranges, (low, high) by name."""

    def make(**ranges):
        path = shutil.copy(small_file, tmp_path / "changed.onnx")
        parameters = load(path).metadata["parameters"]
        for name, (low, high) in ranges.items():
            default = parameters[name]["default"]
            if low == high:
                default = low
            elif default is not None and not low <= default <= high:
                default = None
            parameters[name] |= {"low": low, "high": high, "default": default}
        rewrite(path, parameters=parameters)
        return load(path)

    return make


def test_one_word_is_no_list_of_letters():
    assert words("gg_total") == ["gg_total"]
    assert words("gg_total  n_g") == words(["gg_total", "n_g"]) == ["gg_total", "n_g"]
    for odd in (5, [5]):
        with pytest.raises(ValueError, match="must be a name or a list of names"):
            words(odd)


def test_the_centre_of_a_box_is_inside(emulator):
    point = centre(emulator)
    assert point["Mth"] == pytest.approx((1e10 * 3e13) ** 0.5)
    assert point["h"] == pytest.approx(0.73)
    assert (point["w0"], point["wa"], point["z"]) == (-1.0, 0.0, 1.0)
    assert emulator.is_inside(point)


@pytest.mark.parametrize(
    "ranges",
    [
        {"w0": (-0.5, -0.3)},
        {"wa": (-3.0, -0.5)},
        {"w0": (-1.6, -0.3), "wa": (0.5, 1.5)},  # the middle of which is beyond the limit
        {"w0": (-0.3, -0.3), "wa": (-1.0, 1.0)},
        {"z": (0.5, 0.5), "h": (0.7, 0.7)},
    ],
)
def test_the_centre_of_any_box_has_an_answer(changed, ranges):
    narrow = changed(**ranges)
    assert narrow.is_inside(centre(narrow))


def test_a_rehearsal_finds_what_every_call_would(emulator):
    rehearse(emulator, ["gg_total"], np.array([1e-3, 1.0]))
    with pytest.raises(ValueError, match="no output gg"):
        rehearse(emulator, ["gg"], None, extrapolate=False)
    with pytest.raises(ValueError, match="pass extrapolate=True"):
        rehearse(emulator, ["gg_total"], np.array([1e-3]), extrapolate=False)


def test_dark_energy_that_is_not_spoken_of_is_a_cosmological_constant(changed, emulator):
    constant = {"w0": -1.0, "wa": 0.0}
    assert left_out(emulator.parameters) == constant
    fixed = changed(w0=(-0.9, -0.9), h=(0.7, 0.7), z=(0.0, 0.0), beta=(1.0, 1.0))
    assert left_out(fixed.parameters) == constant | {"beta": 1.0}  # hosts have an h of their own


def test_outputs_at_redshifts_are_those_of_each(emulator):
    z, k = np.array([1.5, 0.0, 0.3]), np.array([1e-3, 0.1])
    results = at_redshifts(emulator, POINT, z, ["gg_total", "n_g"], k)
    assert results["gg_total"].shape == (3, 2)
    for i, one in enumerate(z):
        alone = emulator(POINT | {"z": one}, ["gg_total", "n_g"], k, extrapolate=True)
        np.testing.assert_allclose(results["gg_total"][i], alone["gg_total"], rtol=1e-6)
        np.testing.assert_allclose(results["n_g"][i], alone["n_g"], rtol=1e-6)
    with pytest.raises(
        OutOfRange, match=r"^row 0: h = 2 is outside the trained range \[0.55, 0.91\]$"
    ):
        at_redshifts(emulator, POINT | {"h": 2.0}, z, ["gg_total"], k)


def test_redshifts_are_checked_by_value(changed, emulator):
    assert redshifts(0.5, emulator).tolist() == [0.5]
    assert redshifts([2, 0], emulator).tolist() == [2.0, 0.0]
    assert redshifts([-1e-12, 2 + 1e-12], emulator).tolist() == [0.0, 2.0]  # rounding of 1 / a - 1
    for bad, message in (
        (2.01, "^z = 2.01: small is for z = 0 to 2$"),
        (-0.01, "^z = -0.01: "),
        ([0.5, np.inf], "^z = inf: "),
        (np.nan, "^z = nan: "),
        ([], "^z must be a number or a list of numbers, at least one"),
        ([[0.5]], "^z must be a number or a list of numbers"),
        ("now", "^z = 'now' is not a real number"),
        (True, "^z = True is not a real number"),
    ):
        with pytest.raises(ValueError, match=message):
            redshifts(bad, emulator)
    with pytest.raises(ValueError, match="^z = 0: changed is for z = 0.5 only$"):
        redshifts(0.0, changed(z=(0.5, 0.5)))


def test_fixed_physics_is_what_the_labels_are_made_with():
    pytest.importorskip("pyccl")
    from datagen.ccl import camb_cosmology

    cosmo = camb_cosmology(COSMOLOGY | {"w0": -0.8, "wa": 0.2})
    assert {name: np.sum(cosmo[name]) for name in FIXED} == {
        name: fixed.value for name, fixed in FIXED.items()
    }


def test_physics_within_its_tolerance_changes_linear_power_by_less_than_a_tenth_of_a_percent():
    pyccl = pytest.importorskip("pyccl")
    from datagen.ccl import KEYS

    k = np.geomspace(1e-4, 10, 100)
    point = {KEYS[name]: value for name, value in COSMOLOGY.items()}
    power = {
        name: pyccl.Cosmology(**point | more).linear_matter_power(k, 1.0)
        for name, more in {
            "labels": {},
            "Neff": {"Neff": FIXED["Neff"].value + FIXED["Neff"].tolerance},
            "T_CMB": {"T_CMB": FIXED["T_CMB"].value + FIXED["T_CMB"].tolerance},
        }.items()
    }
    for name in ("Neff", "T_CMB"):
        assert np.abs(power[name] / power["labels"] - 1).max() < 1.1e-3
        assert np.abs(power[name] / power["labels"] - 1).max() > 1e-4  # it does change something


def test_a_vocabulary_refuses_what_it_does_not_know():
    known = Vocabulary(
        {"w": Fixed(-1.0), "model": OneOf(("fluid", "ppf"))},
        {"hubble": lambda point: 100 * point["h"]},
        ["tau"],
    )
    fine = {"w": [-1.0, -1.0], "model": "ppf", "hubble": 70.1, "tau": 0.06}
    assert list(known.refused(fine, {"h": 0.7})) == []
    odd = {"w": np.array([-1.0, -0.9]), "model": "quintessence", "hubble": 67.0, "new": 1.5}
    lines = list(known.refused(odd, {"h": 0.7}))
    assert [line.split(" ")[0] for line in lines] == ["w", "model", "hubble", "new"]
    assert lines[0].startswith("w = -1..-0.9: the emulators know flat w0waCDM")
    assert "model = fluid or ppf" in lines[1]
    assert list(known.refused({"w": float("nan")}, {})) != []
    assert list(known.refused({"w": "phantom"}, {})) != []
