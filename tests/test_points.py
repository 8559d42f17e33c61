"""Labels and units that come with points are used or refused, never dropped."""

import sqlite3
from collections import namedtuple
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from export.points import as_points
from export.runtime import load

POINT = {"Om_c": 0.25, "Om_b": 0.05, "h": 0.7, "sigma_8": 0.82, "n_s": 0.96,
         "alpha": 0.8, "sigma": 0.3, "Mth": 1e13, "Mprime": 2e14, "beta": 1.0}  # fmt: skip
UNITS = {name: "Msun" if name.startswith("M") else "1" for name in POINT}
RIGHT = np.array(list(POINT.values()))
TRUE = [26154.5, 1833.83]  # P_gg of the halo model of `standard` there, at k = 0.1 and 1 1/Mpc
TODAY = POINT | {"z": 0.0}
# Between wavenumbers, where P_lin oscillates. With alpha and sigma swapped it is 28315 and 2751.
DIGITS = 5e-4
SHUFFLED = ["Om_c", "sigma", "h", "Mth", "n_s", "alpha", "Om_b", "sigma_8", "Mprime", "beta"]
FRAME = pd.DataFrame([POINT, POINT | {"h": 0.71}])[SHUFFLED]
TABLE = pa.Table.from_pandas(FRAME)


def check(theta, rtol=0.0):
    """The points are the one of the module, whatever the order of columns was."""
    points = as_points(theta, UNITS)
    assert points.dtype.kind == "f"
    h = points[..., 2].ravel()
    np.testing.assert_allclose(h, [0.7, 0.71][: len(h)], rtol=rtol)
    np.testing.assert_allclose(np.delete(np.atleast_2d(points), 2, 1),
                               np.delete(np.tile(RIGHT, (len(h), 1)), 2, 1), rtol=rtol)  # fmt: skip


def refused(theta, message):
    with pytest.raises(ValueError, match=message) as error:
        as_points(theta, UNITS)
    assert "\n" not in str(error.value)


def sqlite_row():
    database = sqlite3.connect(":memory:")
    database.row_factory = sqlite3.Row
    columns = ", ".join(f"{POINT[name]!r} AS {name}" for name in SHUFFLED)
    row = database.execute(f"SELECT {columns}").fetchone()
    database.close()
    return row


TABLES = {
    "DataFrame": FRAME,
    "DataFrame with labelled rows": FRAME.set_axis(["h", "second"]),
    "DataFrame of objects": FRAME.astype(object),
    "DataFrame of nullable floats": FRAME.astype("Float64"),
    "DataFrame of arrow": FRAME.astype("float64[pyarrow]"),
    "dict of Series": dict(FRAME),
    "dict of Series and lists": dict(FRAME) | {"h": [0.7, 0.71]},
    "records": FRAME.to_records(index=False),
    "list of dicts": FRAME.to_dict("records"),
    "list of Series": [row for _, row in FRAME.iterrows()],
    "list of named tuples": list(FRAME.itertuples(index=False)),
    "list of records": list(FRAME.to_records(index=False)),
    "pyarrow.Table": TABLE,
    "pyarrow.RecordBatch": TABLE.to_batches()[0],
    "pyarrow.StructArray": TABLE.to_struct_array(),
    "dict of tensors": {name: torch.tensor(FRAME[name].to_numpy()) for name in SHUFFLED},
}
ROWS = {
    "Series": FRAME.iloc[0],
    "named tuple": next(FRAME.itertuples(index=False)),
    "record": FRAME.to_records(index=False)[0],
    "sqlite3.Row": sqlite_row(),
    "dict in an array": np.array(POINT, dtype=object),
    "dict of 0-d arrays": {name: np.array(POINT[name]) for name in SHUFFLED},
    "dict of whole numbers": POINT | {"beta": 1, "Mth": 10**13},
}
UNNAMED = {
    "DataFrame without names": pd.DataFrame(FRAME[list(POINT)].to_numpy()),
    "tensor": torch.tensor(FRAME[list(POINT)].to_numpy()),
    "objects": FRAME[list(POINT)].to_numpy(dtype=object),
    "Series without names": pd.Series(RIGHT),
}


@pytest.mark.parametrize("theta", (TABLES | ROWS | UNNAMED).values(), ids=TABLES | ROWS | UNNAMED)
def test_names_are_used_wherever_they_are(theta):
    check(theta)


def test_two_swapped_columns_of_a_frame_change_nothing():
    swapped = pd.DataFrame([TODAY])[[*list(POINT)[:5], "sigma", "alpha", *list(POINT)[7:], "z"]]
    spectra = load("standard")(swapped, "gg_total", k=[0.1, 1.0])["gg_total"]
    np.testing.assert_allclose(spectra, [TRUE], rtol=DIGITS)


SERIES = dict(FRAME)
MANY = pd.DataFrame([POINT] * len(POINT))  # as many rows as columns


@pytest.mark.parametrize(
    ("theta", "message"),
    [
        (FRAME.rename(columns={"Mth": "nonsense"}), "missing .*: Mth; unknown .*: nonsense; exp"),
        (FRAME.rename(columns={"sigma_8": "sigma8"}), r"sigma8 \(did you mean 'sigma_8'\?\)"),
        (FRAME.assign(w0=-1.0), "^unknown parameters: w0; expected Om_c"),
        (FRAME.T, "theta has the parameters as rows; transpose it"),
        (MANY.T.set_axis(range(len(POINT)), axis=1), "the parameters as rows; transpose it"),
        (pd.concat([FRAME, FRAME[["beta"]]], axis=1), "^given twice: beta; expected Om_c"),
        (
            pd.concat([FRAME.drop(columns="h"), FRAME[["beta"]]], axis=1),
            "missing .*: h; given",
        ),
        (pd.concat({"a": FRAME}, axis=1), r"unknown parameters: \('a', 'Om_c'\)"),
        (pd.concat({"a": FRAME.iloc[0]}), r"unknown parameters: \('a', 'Om_c'\)"),
        (pd.DataFrame(np.tile(RIGHT, (2, 1)))[[1, 0, *range(2, 10)]], "unknown parameters: 1, 0, "),
        (pd.Series(RIGHT, index=range(1, 11)), "unknown parameters: 1, 2, 3"),
        (FRAME.to_records(), "^unknown parameters: index; "),
        (next(FRAME.itertuples()), "^unknown parameters: Index; "),
        (namedtuple("Half", "Om_c h")(0.25, 0.7), "^missing parameters: Om_b, "),
        ([POINT, POINT | {"z": 1.0}], "^row 1: unknown parameters: z; "),
        ([POINT, FRAME], r"^row 1 has shape \(2, 10\), expected a single point"),
        ([POINT, None], "^row 1: theta = None is not a real number"),
        (FRAME.to_dict(), "Om_c = {0: 0.25, 1: 0.25} is not a real number"),
        (SERIES | {"h": FRAME["h"][::-1]}, "rows of Om_c and h are labelled differently; align"),
        (SERIES | {"h": FRAME["h"].set_axis(["a", "b"])}, "rows of Om_c and h are labelled diff"),
        (torch.tensor(RIGHT, requires_grad=True), r"theta is not an array of numbers .*detach\(\)"),
        ({name.encode(): value for name, value in POINT.items()}, "unknown parameters: b'Om_c'"),
        (POINT | {"h": 10**400}, "is not an array of numbers .int too large"),
        (SimpleNamespace(columns=SHUFFLED), "Om_c cannot be read from theta .*not subscriptable"),
    ],
)
def test_names_that_do_not_fit_are_refused(theta, message):
    refused(theta, message)


FACTORS = {("kg", "Msun"): 1 / 1.98840987e30, ("%", "1"): 0.01, ("1/kpc", "1/Mpc"): 1e3}


class Quantity:
    """A number with a unit, as astropy, pint and unyt have them; it knows kg and percent."""

    def __init__(self, value, unit):
        self.value, self.unit = value, unit

    @property
    def unit(self):
        return self._unit

    @unit.setter
    def unit(self, text):
        self._unit = Unit(text)

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.value)  # the way to a wrong number: without the unit

    def to_value(self, text):
        name = "1" if text in ("", "1") else text
        if str(self.unit) == name:
            return np.asarray(self.value)
        return np.asarray(self.value) * FACTORS[str(self.unit), name]  # KeyError


class Unit:
    def __init__(self, text):
        self.text = text

    def __str__(self):
        return self.text


KG = Quantity(1.98840987e43, "kg")


@pytest.mark.parametrize(
    "mass",
    [
        KG,
        Quantity(1e13, "Msun"),
        [KG, Quantity(1e13, "Msun")],
        (Quantity(1e13, "Msun"), 1e13),
        Quantity([1e13, 1e13], "Msun"),
        np.array([KG, KG], dtype=object),
        pd.Series([KG, Quantity(1e13, "Msun")]),
    ],
    ids=["kg", "Msun", "list", "tuple", "array in one unit", "array of objects", "Series"],
)
def test_quantities_are_converted(mass):
    single = isinstance(mass, Quantity) and np.ndim(mass.value) == 0
    check(POINT | {"Mth": mass, "h": 0.7 if single else [0.7, 0.71]}, rtol=1e-7)


def test_quantities_in_the_order_of_the_names_are_converted():
    single = [Quantity(value, UNITS[name]) for name, value in POINT.items()]
    single[list(POINT).index("Mth")] = KG
    second = [*single[:2], Quantity(71, "%"), *single[3:]]
    for theta in (single, tuple(single), np.array(single, dtype=object), [single, second]):
        check(theta, rtol=1e-7)


@pytest.mark.parametrize(
    ("theta", "message"),
    [
        (POINT | {"Mth": Quantity(1e13, "km")}, "Mth has the unit km, expected Msun; convert it"),
        (POINT | {"Mth": [1e13, Quantity(1e13, "km")]}, "Mth has the unit km, expected Msun"),
        (POINT | {"Mth": Quantity(1e13, "")}, "Mth has the unit dimensionless, expected Msun"),
        (POINT | {"h": Quantity(70, "km/s/Mpc")}, "h has the unit km/s/Mpc, .* number without uni"),
        ([*RIGHT[:7], Quantity(1e13, "km"), *RIGHT[8:]], "Mth has the unit km, expected Msun"),
        ([Quantity(1.0, "1")] * 3, r"theta has shape \(3,\), expected"),
        (Quantity(RIGHT, "1"), "theta has one unit, 1, for parameters with the units 1 and Msun"),
    ],
)
def test_units_that_do_not_convert_are_refused(theta, message):
    refused(theta, message)


def with_attributes(units):
    frame = FRAME.copy()
    frame.attrs["units"] = units
    return frame


def column_with(unit):
    column = FRAME["Mth"].copy()
    column.attrs["units"] = unit
    return dict(FRAME) | {"Mth": column}


def arrow_with(unit):
    fields = [pa.field(n, pa.float64(), metadata={"unit": unit} if n == "Mth" else None)
              for n in SHUFFLED]  # fmt: skip
    return pa.table({name: FRAME[name] for name in SHUFFLED}, schema=pa.schema(fields))


@pytest.mark.parametrize("unit", ["Msun", "M_sun", "solMass", r"$M_\odot$", "Msun "])
def test_units_that_are_written_down_and_right_are_taken(unit):
    for theta in (with_attributes({"Mth": unit, "h": ""}), column_with(unit), arrow_with(unit)):
        check(theta)


@pytest.mark.parametrize("unit", ["Msun/h", "kg", "1e10 Msun", "log10(Msun)", "1"])
def test_units_that_are_written_down_and_wrong_are_refused(unit):
    for theta in (with_attributes({"Mth": unit}), column_with(unit), arrow_with(unit)):
        refused(theta, r"^Mth has the unit .*, expected Msun; convert it$")


@pytest.mark.parametrize(
    "k",
    [
        Quantity([1e-4, 1e-3], "1/kpc"),
        [Quantity(1e-4, "1/kpc"), Quantity(1.0, "1/Mpc")],
        pd.Series([0.1, 1.0], index=[7, 3]),
        torch.tensor([0.1, 1.0], dtype=torch.float64),
    ],
    ids=["array", "list", "Series", "tensor"],
)
def test_wavenumbers_with_units_are_converted(k, small_file):
    emulator = load(small_file)
    emulator(TODAY, "gg_total", k=[1e-4 * 1e3, 1e-3 * 1e3])
    for _ in range(2):  # the second call finds the interpolation of the first
        np.testing.assert_allclose(emulator(TODAY, "gg_total", k=k)["gg_total"],
                                   emulator(TODAY, "gg_total", k=[0.1, 1.0])["gg_total"],
                                   rtol=1e-5)  # fmt: skip


def test_wavenumbers_in_another_unit_are_refused(small_file):
    series = pd.Series([0.1, 1.0])
    series.attrs["units"] = "h/Mpc"
    for k in (series, Quantity([0.1, 1.0], "h/Mpc")):
        with pytest.raises(ValueError, match="k has the unit h/Mpc, expected 1/Mpc; convert it"):
            load(small_file)(TODAY, "gg_total", k=k)


def test_masked_values_are_not_numbers():
    masked = np.ma.array(np.tile(RIGHT, (2, 1)), mask=False)
    masked[1, 3] = np.ma.masked
    for theta in (masked, {name: masked[:, i] for i, name in enumerate(POINT)}):
        points = as_points(theta, UNITS)
        assert np.isnan(points[1, 3])
        assert np.isnan(points).sum() == 1


# --- the libraries themselves, where they are installed ---------------------------------------


def test_astropy():
    u, table = pytest.importorskip("astropy.units"), pytest.importorskip("astropy.table")
    units = {name: u.Msun if UNITS[name] == "Msun" else u.one for name in POINT}
    quantities = table.QTable({name: FRAME[name].to_numpy() * units[name] for name in SHUFFLED})
    plain = table.Table.from_pandas(FRAME)
    for theta in (plain, quantities, plain[0], quantities[0]):
        check(theta, rtol=1e-12)
    quantities["Mth"] = quantities["Mth"].to("kg")
    quantities["h"] = quantities["h"].to("percent")
    plain["Mth"] = plain["Mth"] * 1.988409870698051e30
    plain["Mth"].unit = "kg"
    for theta in (quantities, quantities[0], plain, plain[0]):
        check(theta, rtol=1e-9)
    plain["h"].unit = "km / (s Mpc)"
    for theta in (plain, plain[0]):
        refused(theta, r"h has the unit km / \(Mpc s\), expected a number without unit")
    check(POINT | {"Mth": 13 * u.dex(u.Msun)}, rtol=1e-9)
    k = load("standard")(TODAY, "gg_total", k=np.array([1e-4, 1e-3]) / u.kpc)["gg_total"]
    np.testing.assert_allclose(k, TRUE, rtol=DIGITS)


def test_pint():
    ureg = pytest.importorskip("pint").UnitRegistry()
    refused(POINT | {"Mth": ureg.Quantity(1e13, "kg")}, "Mth has the unit kilogram, expected Msun")
    ureg.define("Msun = 1.98840987e30 kg")
    mass = ureg.Quantity(1.98840987e43, "kg")
    check(POINT | {"Mth": mass, "h": ureg.Quantity(0.7, "")}, rtol=1e-9)
    check(POINT | {"Mth": [mass, mass], "h": ureg.Quantity(np.array([0.7, 0.71]), "")}, rtol=1e-9)


def test_unyt():
    unyt = pytest.importorskip("unyt")
    mass = (1e13 * unyt.Msun).to("kg")
    check(POINT | {"Mth": mass, "h": unyt.unyt_quantity(0.7, "")}, rtol=1e-9)
    check(POINT | {"Mth": [mass, 1e13 * unyt.Msun], "h": [0.7, 0.71]}, rtol=1e-9)
    refused(POINT | {"h": unyt.unyt_quantity(0.7, "km/s/Mpc")}, r"h has the unit km/\(Mpc\*s\)")


def test_xarray():
    xarray = pytest.importorskip("xarray")
    dataset = xarray.Dataset({name: ("x", FRAME[name].to_numpy()) for name in SHUFFLED})
    array = dataset.to_array("parameter")
    for theta in (dataset, array, array.T, dataset.isel(x=0), array[:, 0]):
        check(theta)
    for dims, values in ((("x", "p"), FRAME.to_numpy()), (("p",), FRAME.to_numpy()[0])):
        check(xarray.DataArray(values, dims=dims, coords={"name": ("p", SHUFFLED)}))
    check(xarray.DataArray(FRAME[list(POINT)].to_numpy()))
    refused(dataset.rename(h="H"), "missing parameters: h; unknown parameters: H")
    refused(array.assign_coords(parameter=list("abcdefgHij")), "unknown parameters: a, b")
    refused(dataset.assign(h=("y", [0.7, 0.71])), "rows of Om_c and h are labelled differently")
    dataset["Mth"].attrs["units"] = "Msun/h"
    refused(dataset, "Mth has the unit Msun/h, expected Msun")


def test_polars():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({name: FRAME[name].to_numpy() for name in SHUFFLED})
    for theta in (frame, frame.to_struct("points"), frame.row(0, named=True), frame.to_dicts()):
        check(theta)
    refused(frame.rename({"h": "H"}), "missing parameters: h; unknown parameters: H")


def test_jax():
    jnp = pytest.importorskip("jax.numpy")
    check({name: jnp.asarray(FRAME[name].to_numpy()) for name in SHUFFLED}, rtol=1e-6)
