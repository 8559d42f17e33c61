import re

import numpy as np
import pytest

from datagen.space import BOUNDS_OF_VALIDITY, PARAMETERS, UNITS, Range, Space, check_theta


def corners(space):
    return np.array([space.low, space.high])


def test_corners_of_the_unit_cube_are_the_ends_of_the_ranges_exactly():
    space = Space()
    np.testing.assert_array_equal(space.from_unit(np.zeros((1, 10)))[0], space.low)
    np.testing.assert_array_equal(space.from_unit(np.ones((1, 10)))[0], space.high)


def test_middle_is_the_mean_of_a_linear_and_the_geometric_mean_of_a_log_range():
    space = Space(Mth=Range(1e12, 1e14), Mprime=Range(1e12, 1e14, "log10"))
    middle = dict(zip(PARAMETERS, space.from_unit(np.full((1, 10), 0.5))[0], strict=True))
    assert middle["Mth"] == pytest.approx(5.05e13, rel=1e-12)
    assert middle["Mprime"] == pytest.approx(1e13, rel=1e-12)


@pytest.mark.parametrize("sampling", ["linear", "log10"])
def test_equal_ends_hold_a_parameter_fixed_to_the_bit(sampling):
    value = 1.2345678e13
    space = Space(Mth=Range(value, value, sampling))
    theta = space.from_unit(np.random.default_rng(1).random((100, 10)))
    assert set(theta[:, PARAMETERS.index("Mth")]) == {value}


def test_dict_round_trip_keeps_the_space_and_tells_units():
    space = Space(Mth=Range(2e11, 3e12), h=Range(0.7, 0.7))
    assert Space.from_dict(space.as_dict()) == space
    assert {name: entry["unit"] for name, entry in space.as_dict().items()} == UNITS


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
    ],
)
def test_bad_range_is_refused_by_the_parameters_name(name, interval, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Space(**{name: interval})


@pytest.mark.parametrize(
    ("name", "value"),
    [("sigma", 0.0), ("sigma", -1.0), ("Mth", np.nan), ("h", np.inf), ("alpha", 1.01)],
)
def test_point_outside_of_validity_is_named_with_row_value_and_limits(name, value):
    theta = corners(Space())
    theta[1, PARAMETERS.index(name)] = value
    low, high = BOUNDS_OF_VALIDITY[name]
    message = f"row 1: {name} = {value:g} is outside [{low:g}, {high:g}], where the halo model"
    with pytest.raises(ValueError, match=re.escape(message)):
        check_theta(theta)


def test_points_of_a_wrong_shape_are_refused():
    with pytest.raises(ValueError, match=r"shape \(10,\), expected \(N, 10\) with columns Om_c"):
        check_theta(Space().low)


def test_space_checks_its_own_box_and_includes_the_ends():
    space = Space(h=Range(0.7, 0.75))
    np.testing.assert_array_equal(space.check(corners(space)), corners(space))
    with pytest.raises(ValueError, match=r"row 0: h = 0.64 is outside \[0.7, 0.75\], the range"):
        space.check(corners(Space()))
