import re
from dataclasses import replace

import numpy as np
import pytest

from datagen.occupations import OCCUPATIONS
from datagen.space import (
    BACKGROUND,
    COSMOLOGY,
    W_TODAY_AND_EARLY,
    Range,
    Space,
    check_theta,
    columns_by_name,
    complete,
    parameters_of,
)

NAMES, PARAMETERS = Space().names, Space().parameters
ZHENG07 = Space(occupation="zheng07")
DARK_ENERGY = Space(w0=Range(-2.0, -0.3), wa=Range(-3.0, 1.0))
W0, WA = NAMES.index("w0"), NAMES.index("wa")


def corners(space):
    return np.array([space.low, space.high])


def unit_points(n, seed=1):
    return np.random.default_rng(seed).random((n, len(NAMES)))


def point(**values):
    """A point of the default space, whose middle has nothing to hide."""
    theta = Space().from_unit(np.full((1, len(NAMES)), 0.5))
    for name, value in values.items():
        theta[:, NAMES.index(name)] = value
    return theta


# --- parameters ----------------------------------------------------------------------------------


def test_points_begin_with_cosmology_and_redshift():
    assert COSMOLOGY == ("Om_c", "Om_b", "h", "sigma_8", "n_s", "w0", "wa")
    assert (*COSMOLOGY, "z") == BACKGROUND
    assert (*BACKGROUND, "alpha", "sigma", "Mth", "Mprime", "beta") == NAMES


@pytest.mark.parametrize("name", OCCUPATIONS)
def test_parameters_of_an_occupation_stand_behind_and_are_of_its_group(name):
    space, own = Space(occupation=name), OCCUPATIONS[name].parameters
    assert space.names == (*BACKGROUND, *(p.name for p in own)) == tuple(parameters_of(name))
    groups = [p.group for p in space.parameters.values()]
    assert groups == ["cosmology"] * 7 + ["redshift"] + [name] * len(own)
    assert space.units == {n: p.unit for n, p in parameters_of(name).items()}
    assert space == Space.from_dict(space.as_dict())
    for p in own:
        assert space[p.name] == Range(*p.range, p.sampling)


def test_the_default_space_is_a_constant_dark_energy_today():
    fixed = {name: Space()[name].low for name in NAMES if name not in Space().free}
    assert fixed == {"w0": -1.0, "wa": 0.0, "z": 0.0}


def test_what_a_point_leaves_out_has_its_natural_value_and_redshift_has_none():
    given = {name: 0.5 for name in NAMES if name not in ("w0", "wa")}
    assert complete(given) == given | {"w0": -1.0, "wa": 0.0}
    assert list(complete(given)) == list(NAMES)
    del given["z"]
    with pytest.raises(ValueError, match="^missing parameters: z$"):
        complete(given)
    with pytest.raises(ValueError, match=r"^unknown parameters: w; there are Om_c, "):
        complete(given | {"w": -1.0})
    with pytest.raises(ValueError, match=r"^unknown parameters: sigma, Mth, .*, log10M1, alpha$"):
        complete(given | {"z": 0.0}, "zheng07")


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        ({}, {"w0": -1.0, "wa": 0.0, "z": 0.0}),  # where there is one value, it need not be said
        ({"z": Range(0.5, 0.5)}, {"w0": -1.0, "wa": 0.0, "z": 0.5}),
        ({"z": Range(0.0, 2.0), "w0": Range(-1.2, -0.8)}, {"w0": -1.0, "wa": 0.0}),
        ({"w0": Range(-0.9, -0.8)}, {"wa": 0.0, "z": 0.0}),  # not the one that the box lacks
        ({"h": Range(0.7, 0.7)}, {"h": 0.7, "w0": -1.0, "wa": 0.0, "z": 0.0}),
    ],
)
def test_a_space_says_what_need_not_be_given(ranges, expected):
    assert Space(**ranges).defaults == expected


def test_columns_are_found_by_name_whatever_their_order():
    theta = unit_points(3)
    assert columns_by_name(theta, NAMES)["z"].tolist() == theta[:, NAMES.index("z")].tolist()
    assert columns_by_name(theta[:, :2], ("z", "h"))["h"].tolist() == theta[:, 1].tolist()
    with pytest.raises(ValueError, match="zip"):
        columns_by_name(theta[:, :3], ("z", "h"))


# --- the box -------------------------------------------------------------------------------------


def test_corners_of_the_unit_cube_are_the_ends_of_the_ranges_exactly():
    space = Space()
    np.testing.assert_array_equal(space.from_unit(np.zeros((1, len(NAMES))))[0], space.low)
    np.testing.assert_array_equal(space.from_unit(np.ones((1, len(NAMES))))[0], space.high)


def test_middle_is_the_mean_of_a_linear_and_the_geometric_mean_of_a_log_range():
    space = Space(Mth=Range(1e12, 1e14, "linear"), Mprime=Range(1e12, 1e14, "log10"))
    (values,) = space.from_unit(np.full((1, len(NAMES)), 0.5))
    middle = dict(zip(NAMES, values, strict=True))
    assert middle["Mth"] == pytest.approx(5.05e13, rel=1e-12)
    assert middle["Mprime"] == pytest.approx(1e13, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "sampling"),
    [(name, "linear") for name in NAMES]
    + [(name, "log10") for name, p in PARAMETERS.items() if p.valid[0] >= 0],
)
def test_equal_ends_hold_any_parameter_fixed_to_the_bit(name, sampling):
    low, high = PARAMETERS[name].valid
    value = low + 0.4321 * (high - low)
    space = replace(Space(), **{name: Range(value, value, sampling)})
    assert name not in space.free
    assert set(space.from_unit(unit_points(100))[:, NAMES.index(name)]) == {value}


@pytest.mark.parametrize("space", [Space(), DARK_ENERGY], ids=["default", "dark energy"])
def test_points_come_back_to_the_unit_cube(space):
    unit = unit_points(200)
    free = [NAMES.index(name) for name in space.free]
    back = space.to_unit(space.from_unit(unit))
    np.testing.assert_allclose(back[:, free], unit[:, free], atol=1e-12)
    fixed = np.setdiff1d(np.arange(len(NAMES)), free)
    assert (back[:, fixed] == 0).all()


def test_wa_fills_the_room_that_w0_leaves_evenly_and_never_reaches_the_limit():
    unit = unit_points(4000)
    theta = DARK_ENERGY.check(DARK_ENERGY.from_unit(unit))
    w0, wa = theta[:, W0], theta[:, WA]
    assert (w0 + wa < W_TODAY_AND_EARLY).all()
    room = np.minimum(1.0, W_TODAY_AND_EARLY - w0) + 3.0
    np.testing.assert_allclose((wa + 3.0) / room, unit[:, WA], atol=1e-9)
    ends = DARK_ENERGY.from_unit(np.ones((1, len(NAMES))))
    assert ends[0, W0] == pytest.approx(-0.3)
    assert ends[0, W0] + ends[0, WA] < W_TODAY_AND_EARLY
    assert ends[0, WA] == pytest.approx(0.2, abs=1e-8)


@pytest.mark.parametrize("wa", [-0.5, 0.0, 0.7])
def test_w0_fills_the_room_that_a_wa_held_fixed_leaves(wa):
    space = Space(w0=Range(-2.0, 0.0), wa=Range(wa, wa))
    theta = space.check(space.from_unit(np.eye(len(NAMES))))
    assert set(theta[:, WA]) == {wa}
    assert theta[:, W0].min() == -2.0
    assert theta[:, W0].max() == pytest.approx(min(0.0, W_TODAY_AND_EARLY - wa), abs=1e-8)


def test_a_box_whose_corner_has_no_room_for_wa_is_filled_to_its_edge():
    space = Space(w0=Range(-1.0, 0.0), wa=Range(0.5, 1.0))
    theta = space.check(space.from_unit(unit_points(1000)))
    assert theta[:, W0].max() < -0.6
    np.testing.assert_allclose(space.to_unit(theta)[:, W0], unit_points(1000)[:, W0], atol=1e-9)


def test_the_corner_that_is_cut_off_is_told_only_where_there_is_one():
    assert Space().limits() == []
    (limit,) = DARK_ENERGY.limits()
    theta = np.concatenate([point(w0=-1.0, wa=0.9), point(w0=-0.4, wa=0.3), point(w0=-0.5, wa=0.5)])
    assert limit.is_inside(theta).tolist() == [False, True, False]
    assert limit.reason == "w0 + wa is not below -0.1"


def test_dict_round_trip_keeps_the_space_and_tells_what_a_parameter_is():
    space = Space(Mth=Range(2e11, 3e12), h=Range(0.7, 0.7), z=Range(0.0, 3.0), w0=Range(-1.5, -0.5))
    record = space.as_dict()
    assert Space.from_dict(record) == space
    assert {name: entry["unit"] for name, entry in record.items()} == space.units
    assert record["z"]["group"] == "redshift"
    assert record["w0"]["default"] == -1.0
    assert record["z"]["default"] is None
    assert record["Om_c"]["symbol"] == r"\Omega_\mathrm{c}"
    space = Space(log10Mmin=Range(12.0, 13.0), alpha=Range(1.0, 1.0), occupation="zheng07")
    record = space.as_dict()
    assert Space.from_dict(record) == space
    assert list(record) == list(space.names)
    assert record["log10M1"] == {
        "low": 11.0, "high": 15.5, "sampling": "linear", "unit": "log10 Msun", "default": None,
        "group": "zheng07", "symbol": r"\log_{10} M_1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda record: record["alpha"].update(group="linke22"), "is 'linke22', not 'zheng07'"),
        (lambda record: record["log10M0"].update(group="linke22"), "is 'linke22', not 'zheng07'"),
        (lambda record: record.pop("log10M0"), "space lacks log10M0"),
        (lambda record: record["log10M0"].update(low=None), "space.log10M0.low is null"),
        (lambda record: record.update(Mth=Space().as_dict()["Mth"]), "space has the unknown Mth"),
    ],
)  # fmt: skip
def test_a_record_of_another_occupation_is_refused(change, message):
    record = ZHENG07.as_dict()
    change(record)
    with pytest.raises(ValueError, match=re.escape(message)):
        Space.from_dict(record)


def test_a_record_of_no_occupation_is_refused():
    record = Space().as_dict()
    for name in NAMES:
        record[name]["group"] = record[name]["group"].replace("linke22", "mine")
    with pytest.raises(ValueError, match="parameters of 'mine', which is not an occupation"):
        Space.from_dict(record)


def test_what_a_range_leaves_out_is_the_parameter_s_own():
    space = Space(Mth=Range(1e11), Mprime=Range(high=1e14, sampling="linear"), h=Range(0.7))
    assert space["Mth"] == Range(1e11, 1e15, "log10")
    assert space["Mprime"] == Range(1e10, 1e14, "linear")
    assert space["h"] == Range(0.7, 0.82, "linear")
    assert Space(Mth=Range(1e10, 1e15)) == Space(Mth=None) == Space(Mth=Range()) == Space()
    assert {name for name in NAMES if Space()[name].is_log} == {"Mth", "Mprime"}
    assert not ZHENG07.is_log.any()  # of masses it has the logarithm
    assert space.usual == ("alpha", "sigma", "beta")


def test_ranges_of_another_occupation_are_refused_by_name():
    with pytest.raises(ValueError, match="Mth: the occupation zheng07 has .* log10Mmin, sigma_log"):
        Space(Mth=Range(1e11, 1e12), alpha=Range(1.0, 1.0), occupation="zheng07")
    with pytest.raises(ValueError, match="sigma_logM, log10M1: the occupation linke22 has the par"):
        Space(sigma_logM=Range(0.1, 0.2), log10M1=Range(12.0, 13.0))
    with pytest.raises(TypeError, match="Mht"):
        Space(Mht=Range(1e11, 1e12))


def test_an_occupation_that_there_is_not_is_refused_with_what_may_be_meant():
    with pytest.raises(
        ValueError, match=r"no occupation 'zheng7' \(did you mean 'zheng07'\?\); th"
    ):
        Space(occupation="zheng7")


@pytest.mark.parametrize(
    ("name", "interval", "message"),
    [
        ("Om_c", Range(0.6, 0.1), "Om_c: range [0.6, 0.1] is reversed"),
        ("h", Range(float("nan"), 0.8), "h: range [nan, 0.8] must be finite"),
        ("Mprime", Range(1e10, float("inf")), "Mprime: range [1e+10, inf] must be finite"),
        ("sigma", Range(0.0, 1.0), "sigma: range [0, 1] leaves [0.001, 5]"),
        ("sigma", Range(-0.5, 1.0), "sigma: range [-0.5, 1] leaves [0.001, 5]"),
        ("sigma_8", Range(0.8, 2.5), "sigma_8: range [0.8, 2.5] leaves [0.1, 2]"),
        ("alpha", Range(0.0, 1.0, "log10"), "alpha: range [0, 1] reaches 0; log10 sampling"),
        ("beta", Range(0.1, 2.0, "ln"), "beta: sampling = 'ln' must be 'linear' or 'log10'"),
        ("z", Range(-0.1, 1.0), "z: range [-0.1, 1] leaves [0, 10]"),
        ("z", Range(0.0, 11.0), "z: range [0, 11] leaves [0, 10]"),
        ("w0", Range(-1.0, 0.1), "w0: range [-1, 0.1] leaves [-3, 0]"),
        ("wa", Range(0.9, 2.0), "w0 + wa is at least -0.1 in the whole space"),
        ("wa", Range(1.0, 2.0), "w0 + wa is at least 0 in the whole space, and must be below -0.1"),
    ],
)
def test_bad_range_is_refused_by_the_parameters_name(name, interval, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Space(**{name: interval})


# --- points --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sigma", 0.0), ("sigma", -1.0), ("Mth", np.nan), ("h", np.inf), ("alpha", 1.01),
        ("z", -1e-9), ("z", np.nan), ("z", 10.5), ("w0", 0.1), ("wa", -6.0),
    ],
)  # fmt: skip
def test_point_outside_of_validity_is_named_with_row_value_and_limits(name, value):
    theta = corners(Space())
    theta[1, NAMES.index(name)] = value
    low, high = PARAMETERS[name].valid
    message = f"row 1: {name} = {value:g} is outside [{low:g}, {high:g}], where the halo model"
    with pytest.raises(ValueError, match=re.escape(message)):
        check_theta(theta)


@pytest.mark.parametrize(("w0", "wa"), [(-1.0, 0.9), (-0.5, 0.5), (-0.05, 0.0)])
def test_dark_energy_that_matters_early_is_refused_by_name(w0, wa):
    theta = np.concatenate([point(), point(w0=w0, wa=wa)])
    message = re.escape(f"row 1: w0 + wa = {w0 + wa:g} must be below -0.1")
    with pytest.raises(ValueError, match=message):
        check_theta(theta)
    space = Space(w0=Range(-1.0, 0.0), wa=Range(-1.0, 1.0))
    with pytest.raises(ValueError, match=message):
        space.check(theta)


def test_dark_energy_that_is_negligible_early_is_taken_whatever_it_is_today():
    theta = point(w0=-0.4, wa=-1.8)  # where DESI has it
    np.testing.assert_array_equal(check_theta(theta), theta)


def test_points_of_another_occupation_are_checked_by_its_limits():
    theta = ZHENG07.from_unit(np.full((2, len(ZHENG07.names)), 0.5))
    np.testing.assert_array_equal(check_theta(theta, "zheng07"), theta)
    theta[1, ZHENG07.names.index("sigma_logM")] = 3.1
    with pytest.raises(ValueError, match=r"row 1: sigma_logM = 3.1 is outside \[0.01, 3\], where"):
        check_theta(theta, "zheng07")
    with pytest.raises(ValueError, match="row 0: alpha = 13 is outside"):
        check_theta(theta)  # as many columns, of others


def test_points_of_a_wrong_shape_are_refused():
    with pytest.raises(ValueError, match=r"shape \(13,\), expected \(N, 13\) with columns Om_c"):
        check_theta(Space().low)
    with pytest.raises(ValueError, match=r"shape \(1, 10\), expected \(N, 13\)"):
        check_theta(Space().low[None, :10])


def test_space_checks_its_own_box_and_includes_the_ends():
    space = Space(h=Range(0.7, 0.75), z=Range(0.0, 2.0))
    np.testing.assert_array_equal(space.check(corners(space)), corners(space))
    with pytest.raises(ValueError, match=r"row 0: h = 0.64 is outside \[0.7, 0.75\], the range"):
        space.check(corners(Space()))
    with pytest.raises(ValueError, match=r"row 0: z = 2.5 is outside \[0, 2\], the range"):
        space.check(point(h=0.7, z=2.5))
