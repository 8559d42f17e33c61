"""What adapters share: emulators by redshift, the physics that they hold hosts to."""

import numpy as np
import pytest
from hosts import COSMOLOGY, POINT

from export.adapters.common import centre, words
from export.adapters.physics import FIXED, Fixed, OneOf, Vocabulary
from export.redshifts import Redshifts
from export.runtime import load
from export.shipped import shipped


def test_redshifts_are_in_order_and_belong_together():
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


def test_one_emulator_is_no_list_of_letters():
    assert list(Redshifts("standard").z) == [0.0]
    assert list(Redshifts(load("standard")).z) == [0.0]
    assert words("gg_total") == ["gg_total"]
    assert words("gg_total  n_g") == words(["gg_total", "n_g"]) == ["gg_total", "n_g"]
    for odd in (5, [5]):
        with pytest.raises(ValueError, match="must be a name or a list of names"):
            words(odd)


def test_redshifts_cannot_be_changed_from_outside():
    with pytest.raises(ValueError, match="read-only"):
        Redshifts("standard").z[0] = 1.0


def test_the_centre_of_a_box_is_inside():
    parameters = load("standard").parameters
    point = centre(parameters)
    assert point["Mth"] == pytest.approx(10**12.5)
    assert point["h"] == pytest.approx(0.73)
    assert all(p.low < point[p.name] < p.high for p in parameters)


def test_fixed_physics_is_what_the_labels_are_made_with():
    pytest.importorskip("pyccl")
    from datagen.ccl import camb_cosmology

    cosmo = camb_cosmology(COSMOLOGY)
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
    assert lines[0].startswith("w = -1..-0.9: the emulators know flat LCDM")
    assert "model = fluid or ppf" in lines[1]
    assert list(known.refused({"w": float("nan")}, {})) != []
    assert list(known.refused({"w": "phantom"}, {})) != []
