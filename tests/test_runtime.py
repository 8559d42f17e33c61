"""The runtime: forms of input, policies, k between and below, threads, pickles, mistakes."""

import multiprocessing
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from support.small_emulator import SPACE, analytic_power

from datagen.halomodel import HaloModel, HaloModelConfig, KGrid
from datagen.space import Range, columns_by_name
from emulator.semianalytic.emulator import OUTPUTS
from export import runtime, sessions
from export.ranges import OutOfRange, OutOfRangeWarning
from export.runtime import OnnxEmulator, load
from export.to_onnx import to_onnx

ROUNDING = 2e-5  # float32, in batches of other sizes
# Profiles of single massive haloes oscillate at high k. Where P_lin wiggles, a spline is at 5e-2.
BETWEEN = 5e-3
BELOW = 3e-2  # shape of Eisenstein & Hu from 1e-2 down to 1e-3 1/Mpc; without it, 1 or more


@pytest.fixture(scope="module")
def model(small_file) -> OnnxEmulator:
    return load(small_file)


@pytest.fixture(scope="module")
def many() -> np.ndarray:
    """Points of the box, of which w0 or wa may be at any end.

    Thresholds are far above the lowest halo mass, of which there would be a warning.
    """
    space = replace(
        SPACE,
        w0=Range(-2.0, -1.2),
        wa=Range(-3.0, 0.1),
        sigma=Range(0.01, 0.5),
        Mth=Range(1e12, 3e13, "log10"),
    )
    return space.from_unit(np.random.default_rng(4).random((400, len(SPACE.names))))


@pytest.fixture(scope="module")
def theta(many):
    return many[:5]


@pytest.fixture
def point(theta) -> dict[str, float]:
    return dict(zip(SPACE.names, map(float, theta[0]), strict=True))


def test_all_forms_of_input_agree(model, theta):
    expected = model(theta)["gg_total"]
    mapping = columns_by_name(theta, SPACE.names)
    order = SPACE.names[::-1]
    structured = np.empty(len(theta), [(name, float) for name in order])
    for name in order:
        structured[name] = mapping[name]
    for form in (mapping, structured, theta.tolist(), dict(reversed(mapping.items()))):
        np.testing.assert_array_equal(model(form)["gg_total"], expected)
    singles = (theta[0], structured[0], {name: column[0] for name, column in mapping.items()},
               {name: float(column[0]) for name, column in mapping.items()})  # fmt: skip
    for single in singles:
        one = model(single)
        assert one["gg_total"].shape == (50,)
        assert np.ndim(one["n_g"]) == 0
        np.testing.assert_allclose(one["gg_total"], expected[0], rtol=ROUNDING)
    rows = model(theta[:1])
    assert rows["n_g"].shape == (1,)
    np.testing.assert_allclose(rows["gg_total"], expected[:1], rtol=ROUNDING)


def test_numbers_and_arrays_mix(model, point):
    scan = model(point | {"h": np.array([0.68, 0.69]), "alpha": 1})
    assert scan["gg_1h"].shape == (2, 50)
    assert scan["n_g"].shape == (2,)


def test_outputs_are_chosen_by_name(model, theta):
    everything = model(theta)
    assert tuple(everything) == model.outputs == OUTPUTS
    some = model(theta, ["n_g", "gg_2h"])
    assert list(some) == ["n_g", "gg_2h"]
    np.testing.assert_allclose(some["gg_2h"], everything["gg_2h"], rtol=ROUNDING)
    assert list(model(theta, "mm_1h")) == ["mm_1h"]
    with pytest.raises(ValueError, match="no output gg; there are mm_1h, mm_2h"):
        model(theta, "gg")


def test_chunks_are_not_seen(model, many):
    theta = np.tile(many, (5, 1))
    assert len(theta) > 3 * runtime.CHUNK
    whole = model(theta)
    for name, values in whole.items():
        parts = [model(part)[name] for part in np.array_split(theta, 7)]
        np.testing.assert_allclose(values, np.concatenate(parts), rtol=ROUNDING)


def test_memory_is_bounded_by_chunks(small_file, many, monkeypatch):
    model, rows = load(small_file), []
    run = model.sessions.run

    def spy(names, x):
        rows.append(len(x))
        return run(names, x)

    monkeypatch.setattr(model.sessions, "run", spy)
    many = np.tile(many, (10, 1))
    assert len(model(many, "n_g")["n_g"]) == len(many)
    assert len(many) <= sum(rows) <= 2 * len(many)  # once more where thresholds may be too sharp
    assert max(rows) == runtime.CHUNK


def test_no_points_give_no_spectra(model):
    for nothing in (np.empty((0, len(SPACE.names))), {name: [] for name in SPACE.names}):
        empty = model(nothing)
        assert empty["gg_1h"].shape == (0, 50)
        assert empty["n_g"].shape == (0,)
    assert model(np.empty((0, len(SPACE.names))), k=[0.1])["gg_1h"].shape == (0, 1)


@pytest.mark.parametrize("end", ["low", "high"])
def test_ends_are_inside_and_the_next_float32_is_not(model, theta, end):
    for i, p in enumerate(model.parameters):
        limit = getattr(p, end)
        away = np.inf if end == "high" else -np.inf
        corner = theta[0].copy()
        corner[i] = limit
        expected = model(corner)["mm_1h"]
        if limit:  # next to 0 there is no rounding error
            corner[i] = np.nextafter(limit, away)
            np.testing.assert_array_equal(model(corner)["mm_1h"], expected)
        model(corner.astype(np.float32))
        corner[i] = np.nextafter(np.float32(limit), np.float32(away))
        with pytest.raises(OutOfRange, match=rf"row 0: {p.name} = .* outside the trained range"):
            model(corner)


def test_the_message_names_row_parameter_value_and_limits(model, theta):
    theta = theta.copy()
    theta[1, SPACE.names.index("h")] = 0.95
    theta[3, SPACE.names.index("Mth")] = 13
    with pytest.raises(OutOfRange) as error:
        model(theta)
    assert str(error.value) == (
        "row 1: h = 0.95 is outside the trained range [0.55, 0.91]; "
        "row 3: Mth = 13 is outside the trained range [1e+10, 3e+13] Msun "
        "(did you mean 10**13 Msun?)"
    )
    with pytest.raises(OutOfRange, match="; and 8 more values"):
        model(np.full((1, len(SPACE.names)), -9.0))


def test_policy_warn_evaluates_as_it_is(model, point):
    with pytest.warns(OutOfRangeWarning, match="row 0: beta = 2.1 is outside") as caught:
        beyond = model(point | {"beta": 2.1}, out_of_range="warn")
    assert caught[0].filename == __file__
    inside = model(point | {"beta": 2.0})
    np.testing.assert_allclose(beyond["gg_1h"], inside["gg_1h"], rtol=1)
    assert np.all(beyond["gg_1h"] != inside["gg_1h"])


def test_policy_nan_spoils_only_the_rows_outside(model, theta):
    theta = theta.copy()
    theta[1, SPACE.names.index("h")], theta[3, SPACE.names.index("Om_c")] = 0.95, np.nan
    for k in (None, [0.1, 1.0]):
        for values in model(theta, k=k, out_of_range="nan").values():
            bad = np.isnan(values)
            assert bad[[1, 3]].all()
            assert not bad[[0, 2, 4]].any()


def test_policy_clip_moves_to_the_nearest_end(model, point):
    clipped = model(point | {"h": 0.95, "beta": -np.inf}, out_of_range="clip")
    at_end = model(point | {"h": 0.91, "beta": 0.1})
    np.testing.assert_array_equal(clipped["gg_total"], at_end["gg_total"])
    with pytest.raises(OutOfRange, match="h = nan is outside"):
        model(point | {"h": np.nan}, out_of_range="clip")


def test_a_policy_can_be_set_once(small_file, point):
    model = load(small_file, out_of_range="nan")
    assert np.isnan(model(point | {"h": 0.95})["gg_1h"]).all()
    with pytest.raises(OutOfRange):
        model(point | {"h": 0.95}, out_of_range="raise")
    for call in (
        lambda: load(small_file, out_of_range="cap"),
        lambda: model(point, out_of_range="cap"),
    ):
        with pytest.raises(ValueError, match="out_of_range = 'cap' must be one of"):
            call()


def true_spectra(theta, k: KGrid):
    return HaloModel(HaloModelConfig(k=k), analytic_power())(theta)


def test_between_its_wavenumbers_it_is_the_halo_model(model, theta):
    grid = KGrid(points=99)  # every other one is in the middle between two
    true, ours = true_spectra(theta, grid), model(theta, k=grid.values())
    for name in ("mm_1h", "gg_1h", "gg_2h", "P_lin"):
        np.testing.assert_allclose(ours[name], true[name], rtol=BETWEEN)
    np.testing.assert_allclose(ours["mm_1h"], true["mm_1h"], rtol=BETWEEN)
    on_grid = model(theta, k=model.k)
    for name, values in model(theta).items():
        np.testing.assert_allclose(on_grid[name], values, rtol=ROUNDING)


def test_below_its_wavenumbers_it_is_linear_theory(model, theta):
    grid = KGrid(low=1e-3, high=1e-2, points=20)
    true, ours = true_spectra(theta, grid), model(theta, k=grid.values(), extrapolate=True)
    for name in ("mm_1h", "gm_1h", "gg_1h", "mm_2h", "gg_2h", "P_lin"):
        np.testing.assert_allclose(ours[name], true[name], rtol=BELOW, err_msg=name)
    np.testing.assert_allclose(ours["gg_total"], ours["gg_1h"] + ours["gg_2h"], rtol=ROUNDING)
    bias = np.sqrt(ours["gg_2h"] / ours["P_lin"])[:, :-1]
    np.testing.assert_allclose(bias, ours["b_eff"][:, None] * np.ones_like(bias), rtol=5e-3)
    alone = model(theta, "gg_total", k=grid.values(), extrapolate=True)
    assert list(alone) == ["gg_total"]
    np.testing.assert_allclose(alone["gg_total"], ours["gg_total"], rtol=ROUNDING)


@pytest.mark.parametrize(
    ("k", "extrapolate", "message"),
    [
        (1e-3, False, r"k\[0\] = 0.001 1/Mpc is outside \[0.01, 100\].*pass extrapolate=True"),
        ([1.0, 200.0], True, r"k\[1\] = 200 1/Mpc is outside .*there is no continuation"),
        (0.0, True, r"k\[0\] = 0 1/Mpc"),
        (np.nan, True, r"k\[0\] = nan 1/Mpc"),
        ([[0.1]], False, r"k must be a number or an array \(K,\)"),
        ("0.1", False, "k = '0.1' is not a real number or an array of them"),
    ],
)
def test_wavenumbers_without_an_answer_are_refused(model, point, k, extrapolate, message):
    with pytest.raises(ValueError, match=message):
        model(point, k=k, extrapolate=extrapolate)


def test_messages_show_that_a_wavenumber_is_outside(model, point):
    low = float(model.k[0])
    with pytest.raises(ValueError, match=rf"k\[0\] = {low * (1 - 1e-6)!r} 1/Mpc is outside"):
        model(point, k=[low * (1 - 1e-6)])


def test_no_wavenumbers_give_no_spectra(model, point):
    assert model(point, "gg_1h", k=[])["gg_1h"].shape == (0,)
    two = point | {"h": [0.7, 0.8]}
    assert model(two, ["gg_total", "n_g"], k=[])["gg_total"].shape == (2, 0)


def test_the_ends_of_the_wavenumbers_are_inside(model, point):
    ends = model(point, "gg_1h", k=[0.01 * (1 - 1e-12), 100 * (1 + 1e-12)])
    np.testing.assert_allclose(ends["gg_1h"], model(point)["gg_1h"][[0, -1]], rtol=ROUNDING)


@pytest.mark.slow
def test_a_total_below_the_grid_needs_its_terms(small_file, point, tmp_path):
    file = to_onnx(small_file.with_suffix(".safetensors"), tmp_path / "t.onnx",
                   outputs=["gg_total"])  # fmt: skip
    model = load(file)
    assert model.outputs == ("gg_total",)
    assert model(point, k=0.02)["gg_total"].shape == (1,)
    with pytest.raises(ValueError, match="gg_total below the grid needs gg_1h and gg_2h"):
        model(point, k=0.001, extrapolate=True)


def test_nothing_internal_can_be_written_to(small_file, point):
    model = load(small_file)
    expected, again = model(point), model(point)
    arrays = [model.k, model.at_wavenumbers([0.1]).k]
    for array in arrays:
        with pytest.raises(ValueError, match="read-only"):
            array /= 0.7
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.flags.writeable = True
    metadata = model.metadata
    metadata["halo_model"]["model"] = metadata["parameters"]["h"]["low"] = metadata["k"][0] = None
    metadata["record"].clear()
    model.units["gg_1h"] = "furlong"
    model.units.clear()
    assert model.metadata == load(small_file).metadata
    assert model.units["gg_1h"] == "Mpc^3"
    for name in ("k", "units", "metadata", "threads", "out_of_range", "path", "anything"):
        with pytest.raises(AttributeError, match=f"{name} of an emulator cannot be changed"):
            setattr(model, name, None)
        with pytest.raises(AttributeError, match=f"{name} of an emulator cannot be changed"):
            delattr(model, name)
    with pytest.raises(AttributeError):
        model.parameters[0].low = 0.0
    for values in expected.values():
        values *= 0  # what was handed out is the caller's
    for name, values in model(point).items():
        np.testing.assert_array_equal(values, again[name])
    near = model(point, "gg_total", k=[0.1])["gg_total"]
    np.testing.assert_array_equal(near, load(small_file)(point, "gg_total", k=[0.1])["gg_total"])


def test_what_is_handed_out_is_nobody_elses(model, theta, point):
    for k in (None, model.k, [0.1, 1.0]):
        for points in (theta, point, [point[name] for name in SPACE.names]):
            first = model(points, k=k)
            kept = {name: np.array(values) for name, values in first.items()}
            second = model(points, k=k)
            for name, values in first.items():
                assert not np.shares_memory(values, second[name])
                assert not any(np.shares_memory(values, o) for n, o in first.items() if n != name)
                np.testing.assert_array_equal(values, kept[name])
    wanted = np.array([0.1, 1.0])
    before = model(point, "gg_1h", k=wanted)["gg_1h"].copy()
    wanted *= 2
    after = model(point, "gg_1h", k=wanted)["gg_1h"]
    np.testing.assert_array_equal(after, model(point, "gg_1h", k=[0.2, 2.0])["gg_1h"])
    assert np.all(after != before)


def test_a_dictionary_of_floats_is_as_any_other_point(model, theta, point):
    """It takes a shorter way through the runtime."""
    for outputs in (None, "P_lin", ["n_g", "gg_2h"]):
        short, long = model(point, outputs), model(theta[0].tolist(), outputs)
        assert list(short) == list(long)
        for name, values in short.items():
            np.testing.assert_array_equal(values, long[name])
            assert (type(values), values.dtype) == (type(long[name]), np.float32)
    assert isinstance(model(point, "n_g")["n_g"], np.float32)
    numpys = {name: np.float64(value) for name, value in point.items()}
    np.testing.assert_array_equal(model(numpys)["gg_1h"], model(point)["gg_1h"])
    for change, message in (
        ({"h": 0.95}, "row 0: h = 0.95 is outside"),
        ({"h": float("nan")}, "row 0: h = nan is outside"),
        ({"h": "0.7"}, "h = '0.7' is not a real number"),
        ({"h": True}, "h = True is not a real number"),
    ):
        with pytest.raises(ValueError, match=message):
            model(point | change)
    renamed = {("H" if name == "h" else name): value for name, value in point.items()}
    with pytest.raises(ValueError, match="missing parameters: h"):
        model(renamed)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_an_array_of_one_point_is_as_any_other_point(model, theta, dtype):
    """It takes the shorter way of a dictionary of floats."""
    x = theta[0].astype(dtype)
    for outputs in (None, "P_lin", ["n_g", "gg_2h"]):
        short, long = model(x, outputs), model(x.tolist(), outputs)
        for name, values in short.items():
            np.testing.assert_array_equal(values, long[name])
            assert (type(values), values.dtype) == (type(long[name]), np.float32)
    for value, text in ((np.nan, "nan"), (1.5, "1.5")):
        y = x.copy()
        y[SPACE.names.index("h")] = value
        with pytest.raises(OutOfRange, match=f"row 0: h = {text} is outside"):
            model(y)
    ends = np.array([p.high for p in model.parameters], dtype)  # in float32 some lie beyond
    ends[SPACE.names.index("w0")], ends[SPACE.names.index("wa")] = -1.0, 0.0
    assert np.isfinite(model(ends, "P_lin")["P_lin"]).all()
    with pytest.raises(ValueError, match="theta has shape"):
        model(x[:-1])


def test_sessions_are_kept_for_what_was_asked_for_but_not_for_ever(small_file, point):
    model = load(small_file)
    expected = {name: model(point)[name] for name in model.outputs}
    sets = [[a, b] for a in model.outputs for b in model.outputs if a != b]
    for outputs in sets[: 2 * sessions.SESSIONS + 1]:
        for name, values in model(point, outputs).items():
            np.testing.assert_allclose(values, expected[name], rtol=ROUNDING)
    assert len(model.sessions.parted) == sessions.SESSIONS
    assert len(model.sessions.kept) <= sessions.SESSIONS
    assert len(model.sessions.free) <= sessions.SESSIONS
    assert list(model(point, ["gg_1h", "gg_1h"])) == ["gg_1h"]


def test_names_that_were_mistyped_get_a_suggestion(model, point):
    with pytest.raises(ValueError, match=r"no output gg_totl \(did you mean 'gg_total'\?\); there"):
        model(point, ["mm_1h", "gg_totl"])
    with pytest.raises(ValueError, match="no output is requested; there are mm_1h"):
        model(point, [])
    for odd in (3, [3], [["gg_1h"]], [None]):
        with pytest.raises(ValueError, match="no output|outputs = 3"):
            model(point, odd)
    with pytest.raises(
        FileNotFoundError, match=r"no emulator 'standrad' \(did you mean 'standard'"
    ):
        load("standrad")
    with pytest.raises(FileNotFoundError, match=r"standard2.onnx \(did you mean 'standard'"):
        load("runs/standard2.onnx")
    with pytest.raises(
        FileNotFoundError, match="no emulator '': neither a file nor one that comes"
    ):
        load("")
    with pytest.raises(TypeError, match="emulator = None must be a file or the name of a shipped"):
        load(None)
    with pytest.raises(FileNotFoundError, match="is a folder, not an emulator"):
        load(".")


def test_it_says_what_it_is(model):
    lines = repr(model).splitlines()
    assert lines[0] == "<OnnxEmulator small"
    assert lines[1].startswith("  halo model  standard, ")
    assert lines[2] == "  occupation  linke22"
    assert lines[3].startswith("  outputs     mm_1h, mm_2h, mm_total, ")
    assert lines[4] == f"  k           0.01 to 100 1/Mpc, {len(model.k)} values"
    assert lines[5].startswith("  cosmology   Om_c 0.1..0.6, ")


def test_it_says_whose_galaxies_it_predicts(small_file):
    both = load(small_file, occupation={"red": "zheng07", "blue": "hmq"})
    assert "  occupations red: zheng07, blue: hmq\n" in repr(both)
    assert "red_log10Mmin 11..15" in repr(both)
    assert both.metadata["parameters"]["red_log10Mmin"]["high"] == 15
    assert both.metadata["outputs"] == both.units
    assert both.can_change


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2"])
def test_ends_bear_the_rounding_of_float32(model, point, dtype):
    """0.01 as float32 is 2.2e-10 below 0.01; 0.55 and 0.91 likewise are not what they were."""
    k = np.logspace(-2, 2, 5, dtype="f4").astype(dtype)
    for wanted in (k[1:-1] if dtype == "f2" else k, k.tolist()[1:]):
        on_grid = model(point, "gg_1h", k=wanted)["gg_1h"]
        exact = model(point, "gg_1h", k=np.asarray(wanted, np.float64).clip(0.01, 100))["gg_1h"]
        np.testing.assert_allclose(on_grid, exact, rtol=ROUNDING)
    if dtype != "f2":
        for extrapolate in (False, True):
            ends = model(point, "gg_2h", k=k[[0, -1]], extrapolate=extrapolate)["gg_2h"]
            np.testing.assert_allclose(ends, model(point)["gg_2h"][[0, -1]], rtol=ROUNDING)
    for p in model.parameters:
        for end in (p.low, p.high):
            model(point | {p.name: float(np.float32(end))})
    for odd in (np.nextafter(np.float32(0.01), np.float32(0)), 0.00999, 100.001,
                np.nextafter(np.float32(100), np.float32(101))):  # fmt: skip
        with pytest.raises(ValueError, match=r"k\[0\] = .* is outside \[0.01, 100\]"):
            model(point, k=[odd])


def test_threads_share_one_emulator(model, many):
    parts = np.array_split(many, 16)
    alone = [model(part, k=[0.1 + 0.01 * i])["gg_total"] for i, part in enumerate(parts)]

    def work(i: int):
        return model(parts[i], k=[0.1 + 0.01 * i])["gg_total"]

    with ThreadPoolExecutor(4) as pool:
        for i, values in enumerate(pool.map(work, list(range(16)) * 4)):
            np.testing.assert_array_equal(values, alone[i % 16])


def test_it_pickles_to_workers(small_file, theta):
    model = load(small_file, threads=2, out_of_range="nan")
    again = pickle.loads(pickle.dumps(model))
    assert (again.threads, again.out_of_range) == (2, "nan")
    expected = model(theta, "gg_total")["gg_total"]
    np.testing.assert_array_equal(again(theta, "gg_total")["gg_total"], expected)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        there = pool.apply(model, (theta, "gg_total"))["gg_total"]
    np.testing.assert_allclose(there, expected, rtol=ROUNDING)


def test_at_least_one_thread(small_file):
    with pytest.raises(ValueError, match="threads = 0 must be at least 1"):
        load(small_file, threads=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Om_k": 0.0}, r"unknown parameters: Om_k.*; expected Om_c, Om_b"),
        ({"h": "0.7"}, "h = '0.7' is not a real number"),
        ({"h": None}, "h = None is not a real number"),
        ({"h": 0.7 + 0j}, "is not a real number"),
        ({"h": True}, "h = True is not a real number"),
        ({"h": [0.68, "0.69"]}, "is not a real number"),
        ({"h": [[0.68], [0.69]]}, r"h has shape \(2, 1\), expected a number or \(N,\)"),
        ({"h": [[0.68], [0.69, 0.69]]}, "h is not an array of numbers"),
        ({"h": [0.68] * 2, "beta": [1.0] * 3}, "parameters differ in length: .'h': 2, 'beta': 3"),
        ({"h": np.nan}, "h = nan is outside"),
        ({"Mth": np.inf}, "Mth = inf is outside .* Msun"),
        ({"Mth": 1e300}, r"Mth = 1e\+300 is outside"),
        ({"h": np.ma.masked_array([0.68, 0.69], [False, True])}, "row 1: h = nan is outside"),
    ],
)
def test_bad_values_are_refused(model, point, change, message):
    with pytest.raises(ValueError, match=message):
        model(point | change)


@pytest.mark.parametrize(
    ("theta", "message"),
    [
        ({}, "missing parameters: Om_c, Om_b, h"),
        (np.ones((3, 10)), r"theta has shape \(3, 10\), expected \(N, 13\) or \(13,\)"),
        (np.ones((1, 1, 13)), r"theta has shape \(1, 1, 13\)"),
        (1.0, r"theta has shape \(\)"),
        (None, "theta = None is not a real number"),
        ("standard", "theta = 'standard' is not a real number"),
        (np.array(["0.3"] * 13), "is not a real number"),
        ([[1.0], [1.0, 2.0]], "theta is not an array of numbers"),
        (np.zeros(2, [("Om_c", float), ("h", float)]), "missing parameters: Om_b, sigma_8"),
    ],
)
def test_bad_points_are_refused(model, theta, message):
    with pytest.raises(ValueError, match=message):
        model(theta)


VALUES = st.one_of(
    st.floats(), st.integers(), st.text(max_size=3), st.none(), st.booleans(), st.complex_numbers(),
    st.lists(st.floats(), max_size=3),
    hnp.arrays(hnp.scalar_dtypes(), hnp.array_shapes(max_dims=2)),
)  # fmt: skip
FUZZ = settings(
    deadline=None, max_examples=80, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip


def refused_or_right(call, model):
    """Whatever the input: a ValueError, or outputs that are finite and of equal length."""
    try:
        results = call()
    except ValueError:
        return
    assert tuple(results) == model.outputs
    assert all(np.isfinite(values).all() for values in results.values())
    assert {np.shape(values)[:1] for values in results.values() if np.ndim(values) == 2} in (
        set(), {np.shape(results["n_g"])[:1]},
    )  # fmt: skip


@FUZZ
@given(change=st.dictionaries(st.sampled_from((*SPACE.names, "Om_k", "")), VALUES, max_size=3))
def test_any_mapping_is_refused_or_right(model, point, change):
    refused_or_right(lambda: model(point | change), model)
    refused_or_right(lambda: model(change), model)


@FUZZ
@given(
    theta=st.one_of(
        VALUES,
        hnp.arrays(hnp.scalar_dtypes(), st.sampled_from([(13,), (2, 13), (0, 13), (13, 1)])),
        hnp.arrays(hnp.array_dtypes(), hnp.array_shapes(max_dims=1)),
    )
)
def test_any_array_is_refused_or_right(model, theta):
    refused_or_right(lambda: model(theta), model)


@FUZZ
@given(data=st.data())
def test_any_point_of_the_box_has_an_answer(model, data):
    point = {p.name: data.draw(st.floats(p.low, p.high)) for p in model.parameters}
    assume(point["w0"] + point["wa"] < -0.1001)
    for theta in (point, [*point.values()]):
        assert all((values > 0).all() for values in model(theta).values())


def test_where_dark_energy_matters_early_there_is_no_answer(model, point):
    """Wherever the sum is at or above its limit, in whatever form a point comes."""
    reason = "lies where w0 \\+ wa is not below -0.1; the emulator was not trained there"
    for w0, wa in ((-0.5, 0.400001), (-0.3, 0.200001), (-0.3, 1.0), (-1.05, 1.0)):
        early = point | {"w0": w0, "wa": wa}
        assert not model.is_inside(early)
        for theta in (early, [early], [*early.values()]):
            with pytest.raises(OutOfRange, match=f"^row 0 {reason}$"):
                model(theta)
        with pytest.raises(OutOfRange, match=reason):  # there is no end to clip to
            model(early, out_of_range="clip")
        assert np.isnan(model(early, out_of_range="nan")["gg_total"]).all()
        with pytest.warns(OutOfRangeWarning, match=f"row 0 {reason}"):
            assert np.isfinite(model(early, out_of_range="warn")["gg_total"]).all()
    late = point | {"w0": -0.5, "wa": 0.399}
    assert model.is_inside(late)
    np.testing.assert_allclose(model(late)["gg_1h"], model([late])["gg_1h"][0], rtol=ROUNDING)


def test_redshifts_outside_are_refused_by_name(model, point):
    for z, limits in ((-0.01, r"\[0, 2\]"), (2.01, r"\[0, 2\]"), (1100.0, r"\[0, 2\]")):
        for theta in (point | {"z": z}, [point | {"z": z}]):
            message = f"^row 0: z = {z:g} is outside the trained range {limits}$"
            with pytest.raises(OutOfRange, match=message):
                model(theta)
    scan = model(point | {"z": np.array([0.0, 2.0, 2.5])}, out_of_range="nan")
    assert np.isnan(scan["P_lin"]).all(axis=1).tolist() == [False, False, True]
    assert (scan["P_lin"][1] < scan["P_lin"][0]).all()  # it grows


def test_what_has_a_natural_value_may_be_left_out_by_name(model, point):
    expected = model(point | {"w0": -1.0, "wa": 0.0})["gg_total"]
    short = {name: value for name, value in point.items() if name not in ("w0", "wa")}
    columns = {name: np.full(2, value) for name, value in short.items()}
    np.testing.assert_array_equal(model(short)["gg_total"], expected)
    for theta in ([short] * 2, columns):
        np.testing.assert_allclose(model(theta)["gg_total"], [expected] * 2, rtol=ROUNDING)
    other = model(short | {"w0": -0.9})["gg_total"]  # what is given counts
    np.testing.assert_array_equal(other, model(short | {"w0": -0.9, "wa": 0.0})["gg_total"])
    assert (other != expected).all()
    for name in ("z", "h", "Mth"):
        rest = {n: value for n, value in short.items() if n != name}
        for theta in (rest, [rest]):
            with pytest.raises(ValueError, match=f"missing parameters: {name}; expected Om_c"):
                model(theta)
    with pytest.raises(ValueError, match=r"theta has shape \(11,\), expected \(N, 13\)"):
        model([*short.values()])  # without names nothing can be left out


@FUZZ
@given(change=st.dictionaries(st.sampled_from(SPACE.names), st.floats(width=64), max_size=4))
def test_nan_policy_never_raises_for_numbers(model, point, change):
    try:
        expected = model(point | change)["gg_total"]
    except OutOfRange:
        expected = np.full(50, np.nan)
    np.testing.assert_array_equal(model(point | change, out_of_range="nan")["gg_total"], expected)
