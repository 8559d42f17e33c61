import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from datagen import design as design_module
from datagen.design import Design, Points, draw, main
from datagen.files import exclusive
from datagen.occupations import OCCUPATIONS
from datagen.space import Range, Space

SUB_BOX = Space(
    Om_c=Range(0.2, 0.3),
    h=Range(0.7, 0.7),
    Mth=Range(1e11, 1e13, "log10"),
    Mprime=Range(1e12, 1e14, "linear"),
)


SURVEY = Space(w0=Range(-2.0, -0.3), wa=Range(-3.0, 1.0), z=Range(0.0, 3.0))


def unit_cube(theta, space):
    """Where points lie in the box, in each parameter's own sampling, as 0..1."""
    low, high, theta = space.low, space.high, theta.copy()
    log = space.is_log
    low[log], high[log] = np.log10(low[log]), np.log10(high[log])
    theta[:, log] = np.log10(theta[:, log])
    free = high > low
    free[Space().names.index("wa")] = False  # has as much room as w0 leaves it
    return ((theta - low)[:, free]) / (high - low)[free]


@pytest.mark.parametrize("space", [Space(), SUB_BOX, SURVEY], ids=["full", "sub-box", "survey"])
@pytest.mark.parametrize(("method", "points"), [("lhs", 1000), ("lhs", 7), ("sobol", 1024)])
def test_every_stratum_of_every_free_parameter_holds_one_point(space, method, points):
    unit = unit_cube(draw(Design(points, method, seed=5), space), space)
    # 1e-9: a log10 and its power move a point by rounding, possibly over a stratum's edge
    strata = np.floor(unit * points - 1e-9).astype(int)
    for column in np.sort(np.clip(strata, 0, points - 1), axis=0).T:
        np.testing.assert_array_equal(column, np.arange(points))


@pytest.mark.parametrize("method", ["lhs", "sobol"])
def test_points_lie_in_the_box_and_fixed_parameters_do_not_move(method):
    theta = draw(Design(500, method), SUB_BOX)
    SUB_BOX.check(theta)
    assert set(theta[:, Space().names.index("h")]) == {0.7}


@pytest.mark.parametrize("method", ["lhs", "sobol"])
def test_the_seed_decides_the_points(method):
    one, again, other = (draw(Design(33, method, seed), Space()) for seed in (4, 4, 5))
    np.testing.assert_array_equal(one, again)
    free = [Space().names.index(name) for name in Space().free]
    assert (one != other)[:, free].all()


@pytest.mark.parametrize("method", ["lhs", "sobol"])
@pytest.mark.parametrize("name", Space().names)
def test_a_parameter_that_is_held_fixed_changes_no_other(method, name):
    drawn = draw(Design(33, method), SURVEY)
    value = drawn[7, Space().names.index(name)]
    space = replace(SURVEY, **{name: Range(value, value)})
    theta = draw(Design(33, method), space)
    assert set(theta[:, Space().names.index(name)]) == {value}
    others = np.delete(np.arange(len(Space().names)), Space().names.index(name))
    if name in ("w0", "wa"):  # the one leaves the other more room, or less
        others = np.setdiff1d(others, [Space().names.index("w0"), Space().names.index("wa")])
    np.testing.assert_array_equal(theta[:, others], drawn[:, others])


def test_sobol_extends_and_a_latin_hypercube_does_not():
    few, many = (draw(Design(n, "sobol"), Space()) for n in (100, 700))
    np.testing.assert_array_equal(few, many[:100])
    few, many = (draw(Design(n, "lhs"), Space()) for n in (100, 700))
    assert not np.array_equal(few, many[:100])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"points": 0}, "points = 0 must be at least 1"),
        ({"seed": -1}, "seed = -1 must not be negative"),
        ({"method": "grid"}, "method = 'grid' must be 'lhs' or 'sobol'"),
    ],
)
def test_impossible_designs_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Design(**arguments)


@pytest.mark.parametrize("suffix", [".h5", ".csv"])
def test_command_writes_points_with_space_and_design_that_read_back_to_the_bit(tmp_path, suffix):
    out = tmp_path / f"points{suffix}"
    main(["--out", str(out), "--design.points", "50", "--design.seed", "9",
          "--space.h", "{low: 0.7, high: 0.71}"])  # fmt: skip
    points, space = Points.read(out), Space(h=Range(0.7, 0.71))
    assert points.space == space
    assert points.design == asdict(Design(50, "lhs", 9))
    np.testing.assert_array_equal(points.theta, draw(Design(50, "lhs", 9), space))


def test_large_tables_are_written_in_blocks_without_loss(tmp_path, monkeypatch):
    monkeypatch.setattr(design_module, "_ROWS", 7)
    points = Points.of(Design(50), Space())
    points.write(tmp_path / "points.csv")
    np.testing.assert_array_equal(Points.read(tmp_path / "points.csv").theta, points.theta)


def test_files_tell_names_units_and_seed_to_other_programs(tmp_path):
    points = Points.of(Design(3, seed=8), Space())
    points.write(tmp_path / "points.h5")
    points.write(tmp_path / "points.csv")
    with h5py.File(tmp_path / "points.h5") as file:
        assert file["theta"].attrs["names"].astype(str).tolist() == list(Space().names)
        assert file["theta"].attrs["units"].astype(str).tolist() == list(Space().units.values())
        content = json.loads(file["content"][()])
    assert b"GCOL" not in (tmp_path / "points.h5").read_bytes()  # no heap, whose damage loops
    comment, header, *rows = (tmp_path / "points.csv").read_text().splitlines()
    assert json.loads(comment.removeprefix("# ")) == content
    assert content["design"]["seed"] == 8
    assert content["units"] == Space().units
    assert header.split(",") == list(Space().names)
    assert len(rows) == 3


def test_equal_requests_write_equal_files(tmp_path):
    for name in ("a", "b"):
        Points.of(Design(20), Space()).write(tmp_path / f"{name}.h5")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def write_table(path, theta, names=Space().names):
    np.savetxt(path, theta, delimiter=",", header=",".join(names), comments="", fmt="%.17g")


def test_any_table_with_the_names_is_read_whatever_the_order(tmp_path):
    theta, order = draw(Design(5), SURVEY), np.random.default_rng(2).permutation(len(Space().names))
    write_table(tmp_path / "own.csv", theta[:, order], [Space().names[i] for i in order])
    points = Points.read(tmp_path / "own.csv", SURVEY)
    np.testing.assert_array_equal(points.theta, theta)
    assert set(points.design) == {"given", "points"}


def leave_out(path, theta, *names):
    """A table that lacks some parameters, of the kind that the suffix says."""
    kept = [name for name in Space().names if name not in names]
    rows = [{name: row[Space().names.index(name)] for name in kept} for row in theta.tolist()]
    if path.suffix == ".npz":
        np.savez(path, **{name: theta[:, Space().names.index(name)] for name in kept})
    elif path.name == "columns.json":
        path.write_text(json.dumps({name: [row[name] for row in rows] for name in kept}))
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    else:
        write_table(path, theta[:, [Space().names.index(name) for name in kept]], kept)


TABLES = ["own.csv", "own.npz", "columns.json", "records.json"]


@pytest.mark.parametrize("table", TABLES)
def test_a_table_may_leave_out_what_has_a_natural_value(tmp_path, table):
    theta = draw(Design(5), SURVEY)
    theta[:, [Space().names.index("w0"), Space().names.index("wa")]] = -1.0, 0.0
    leave_out(tmp_path / table, theta, "w0", "wa")
    np.testing.assert_array_equal(Points.read(tmp_path / table, SURVEY).theta, theta)
    theta = draw(Design(5), Space())
    leave_out(tmp_path / table, theta, "w0", "wa", "z")  # where there is one redshift
    np.testing.assert_array_equal(Points.read(tmp_path / table).theta, theta)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    ("space", "name"),
    [(SURVEY, "z"), (SURVEY, "h"), (replace(SURVEY, w0=Range(-2.0, -1.1)), "w0"), (Space(), "h")],
    ids=["z", "h", "w0", "h of the default"],
)
def test_a_table_that_lacks_another_parameter_is_refused_by_name(tmp_path, table, space, name):
    leave_out(tmp_path / table, draw(Design(5), space), name)
    message = f"{table} is not a parameter file .*missing parameters: {name}; expected Om_c"
    with pytest.raises(ValueError, match=message):
        Points.read(tmp_path / table, space)


def test_a_file_of_ours_lacks_nothing(tmp_path):
    path = tmp_path / "points.csv"
    Points.of(Design(5), Space()).write(path)
    comment, *rest = path.read_text().splitlines()
    z = Space().names.index("z")
    rows = [",".join(np.delete(row.split(","), z)) for row in rest]
    path.write_text("\n".join([comment, *rows]) + "\n")
    with pytest.raises(ValueError, match="missing parameters: z"):
        Points.read(path)


def test_points_outside_of_the_space_are_named_with_the_file(tmp_path):
    write_table(tmp_path / "own.csv", draw(Design(5), Space()))
    with pytest.raises(ValueError, match=r"own.csv: row 0: Om_c = .* is outside \[0.2, 0.3\]"):
        Points.read(tmp_path / "own.csv", SUB_BOX)


@pytest.mark.parametrize(
    ("name", "value"), [("sigma", 0.0), ("sigma", -1.0), ("Mth", np.nan), ("z", -0.1), ("w0", 0.5)]
)
def test_points_where_no_halo_model_is_are_refused(tmp_path, name, value):
    theta = draw(Design(5), Space())
    theta[2, Space().names.index(name)] = value
    write_table(tmp_path / "own.csv", theta)
    with pytest.raises(ValueError, match=rf"own.csv: row 2: {name} = .* where the halo model"):
        Points.read(tmp_path / "own.csv")


def damage(path, kind):
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind == "foreign":
        path.write_text("nothing\n1,2\n")
    elif kind == "schema":
        data = path.read_bytes()
        assert b"parameters-3" in data
        path.write_bytes(data.replace(b"parameters-3", b"parameters-2"))
    elif path.suffix == ".h5":
        with h5py.File(path, "r+") as file:
            file["theta"][0, 0] += 1e-12
    else:
        path.write_text(path.read_text().replace('"seed": 1', '"seed": 2'))


@pytest.mark.parametrize("suffix", [".h5", ".csv"])
@pytest.mark.parametrize("kind", ["truncated", "foreign", "altered"])
def test_damaged_parameter_files_are_refused(tmp_path, suffix, kind):
    path = tmp_path / f"points{suffix}"
    Points.of(Design(50), Space()).write(path)
    damage(path, kind)
    with pytest.raises(ValueError, match=re.escape(str(path)) + " (is not a param|was altered)"):
        Points.read(path)


def test_all_damage_to_hdf5_is_seen_before_hdf5_sees_it(tmp_path, monkeypatch):
    path, rng = tmp_path / "points.h5", np.random.default_rng(1)
    Points.of(Design(50), Space()).write(path)
    content = path.read_bytes()
    monkeypatch.setattr(h5py, "File", None)
    for place in map(int, rng.integers(0, len(content), 100)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << int(rng.integers(8))
        for bad in (flipped, content[:place]):
            path.write_bytes(bad)
            with pytest.raises(ValueError, match=f"^{path} (was altered|is not|is of kind)"):
                Points.read(path)


@pytest.mark.parametrize("suffix", [".h5", ".csv"])
def test_a_parameter_file_of_another_schema_is_refused_by_its_schema(tmp_path, suffix):
    path = tmp_path / f"points{suffix}"
    Points.of(Design(50), Space()).write(path)
    damage(path, "schema")
    message = "hodspectra-parameters-2'?[;,] this version reads '?hodspectra-parameters-3"
    with pytest.raises(ValueError, match=message):
        Points.read(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"space": {"h": 1}}, "space lacks Om_c, Om_b, "),
        ({"units": Space().units | {"Mth": "Msun/h"}}, "its units are"),
        ({"note": "x"}, "its description has the unknown note"),
        ({"design": {"points": 3, "method": "lhs"}}, "design lacks seed"),
        ({"design": [1]}, r"design is \[1\], not a record of points, method, seed"),
    ],
)
def test_a_description_that_lacks_something_or_holds_more_is_refused(tmp_path, change, message):
    path = tmp_path / "points.csv"
    Points.of(Design(3), Space()).write(path)
    comment, *rest = path.read_text().splitlines()
    content = json.loads(comment.removeprefix("# ")) | change
    path.write_text("\n".join([f"# {json.dumps(content)}", *rest]) + "\n")
    with pytest.raises(ValueError, match=f"{path}: {message}"):
        Points.read(path)


def test_whole_numbers_in_a_space_keep_the_checksum(tmp_path):
    space = Space(Mth=Range(10**12, 10**13, "log10"), alpha=Range(0, 1))
    for name in ("a.h5", "a.csv"):
        Points.of(Design(3), space).write(tmp_path / name)
        assert Points.read(tmp_path / name).space == space


def test_more_points_than_memory_holds_are_refused_by_name():
    with pytest.raises(ValueError, match=r"design.points = 1000000000000 do not fit into memory"):
        draw(Design(10**12), Space())


def test_missing_files_and_other_suffixes_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no parameter file at"):
        Points.read(tmp_path / "none.h5")
    with pytest.raises(ValueError, match=r"parameter files end in .h5 or .csv"):
        Points.of(Design(2), Space()).write(tmp_path / "points.txt")


@pytest.mark.parametrize("suffix", [".h5", ".csv"])
def test_points_have_the_parameters_of_an_occupation_by_its_name(tmp_path, suffix):
    out = tmp_path / f"points{suffix}"
    ends = ["--space.log10Mmin.low=12", "--space.log10Mmin.high=13.5", "--space.z.high=1"]
    main([f"--out={out}", "--design.points=7", "--space.occupation=zheng07", *ends])
    points = Points.read(out)
    own = {"log10Mmin": Range(12.0, 13.5), "z": Range(0.0, 1.0)}
    assert points.space == Space(occupation="zheng07", **own)
    np.testing.assert_array_equal(points.theta, draw(Design(7), points.space))
    log10Mmin = points.theta[:, points.space.names.index("log10Mmin")]
    np.testing.assert_array_equal(np.sort((log10Mmin - 12) / 1.5 * 7).astype(int), np.arange(7))


@pytest.mark.parametrize(
    ("options", "space"),
    [
        (["--space.Mth.low=1e11"], Space(Mth=Range(1e11, 1e15, "log10"))),
        (["--space.Mth.sampling=linear"], Space(Mth=Range(1e10, 1e15, "linear"))),
        (["--space.h.low=0.7"], Space(h=Range(0.7, 0.82))),
        (["--space.Mth={high: 1.0e+13}"], Space(Mth=Range(1e10, 1e13))),
        (["--config=box.yaml", "--space.Mth.sampling=log10"], Space(Mth=Range(1e11, 1e12))),
        (["--config=zheng07.yaml", "--space.alpha.low=1"],
         Space(occupation="zheng07", alpha=Range(1.0, 1.5))),
    ],
    ids=["low", "sampling", "cosmology", "high", "of a file", "occupation of a file"],
)  # fmt: skip
def test_options_change_a_part_of_a_range(tmp_path, monkeypatch, options, space):
    monkeypatch.chdir(tmp_path)
    Path("box.yaml").write_text("space: {Mth: {low: 1.0e+11, high: 1.0e+12, sampling: linear}}")
    Path("zheng07.yaml").write_text("space: {occupation: zheng07, alpha: {high: 1.5}}")
    main(["--out=points.csv", "--design.points=3", *options])
    assert Points.read(Path("points.csv")).space == space


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--space.occupation=zheng7"], "no occupation 'zheng7' (did you mean 'zheng07'?)"),
        (["--space.occupation=zheng07", "--space.Mth.low=1e12"],
         "Mth: the occupation zheng07 has the parameters log10Mmin, "),
        (["--space.Mth.low=1e16"], "Mth: range [1e+16, 1e+15] is reversed"),
        (["--space.Mth.low=much"], "--space.Mth.low: expected float or null, got much"),
        (["--space.Mth.sampling=ln"], "--space.Mth.sampling: expected linear | log10 or null, got"),
        (["--space.Mth.lo=1e11"], "no option space.Mth.lo (did you mean 'space.Mth.low'?)"),
        (["--space.Mht.low=1e11"], "(did you mean '--space.Mth.low'?)"),
        (["--space.Mth=3"], "--space.Mth: expected options of its own (--space.Mth.NAME) or a"),
    ],
)  # fmt: skip
def test_mistakes_in_ranges_are_named(tmp_path, capsys, options, message):
    with pytest.raises(SystemExit, match="2"):
        main([f"--out={tmp_path}/points.csv", *options])
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_help_tells_what_a_parameter_is_and_its_range(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "linke22: Threshold halo mass of hosting galaxies [Msun], usually 1e+10 to" in text
    assert "--space.log10Mmin.{low,high,sampling} zheng07" in text
    assert f"There are {', '.join(OCCUPATIONS)}. (type: str, default: linke22)" in text
    assert ".help" not in text


def test_command_does_not_overwrite_unasked(tmp_path, capsys):
    arguments = ["--out", str(tmp_path / "points.csv"), "--design.points"]
    main([*arguments, "3"])
    with pytest.raises(SystemExit) as stop:
        main([*arguments, "4"])
    assert stop.value.code == 2
    assert "points.csv exists; pass --overwrite true" in capsys.readouterr().err
    main([*arguments, "4", "--overwrite", "true"])
    assert len(Points.read(tmp_path / "points.csv").theta) == 4


@pytest.mark.parametrize("name", ["labels.h5", "table.csv"])
def test_command_replaces_nothing_but_parameter_files_even_when_told_to(tmp_path, name, capsys):
    (tmp_path / name).write_text("Om_c,Om_b\n1,2\n")
    for more in ([], ["--overwrite", "true"]):
        with pytest.raises(SystemExit, match="2"):
            main(["--out", str(tmp_path / name), "--design.points", "3", *more])
        message = capsys.readouterr().err
        assert f"{name} exists and is not a parameter file, so it is kept; give another" in message
        assert "overwrite" not in message
    assert (tmp_path / name).read_text() == "Om_c,Om_b\n1,2\n"


def test_command_is_refused_while_another_process_writes_the_file(tmp_path, capsys):
    out = tmp_path / "points.csv"
    with exclusive(out), pytest.raises(SystemExit, match="2"):
        main(["--out", str(out), "--design.points", "3"])
    assert f"{out} is being written by process" in capsys.readouterr().err
    main(["--out", str(out), "--design.points", "3"])
    assert list(tmp_path.iterdir()) == [out]
