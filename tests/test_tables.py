"""One reader of tables: dialects are read, mistakes and damage are named with their file."""

import gzip
import io
import json
import pickle
import zipfile

import numpy as np
import pandas as pd
import pytest

from datagen import text_table
from datagen.design import Design, Points
from datagen.space import Space
from datagen.tables import TableError, read_blocks, read_table

POINTS = Points.of(Design(3), Space()).theta
NAMES, UNITS = Space().names, Space().units
ORDER = [*NAMES[NAMES.index("alpha") :], *NAMES[: NAMES.index("alpha")]]
FRAME = pd.DataFrame(POINTS, columns=NAMES)[ORDER]
RECORDS = FRAME.to_dict("records")
LISTS = FRAME.to_dict("list")


def text(separator=",", *, head="", quote="", end="\n", tail=""):
    """A table of the three points."""
    names = separator.join(quote + name + quote for name in ORDER)
    rows = [separator.join(f"{quote}{value!r}{quote}" for value in row)
            for row in FRAME.to_numpy().tolist()]  # fmt: skip
    return "".join(line + tail + end for line in (head + names, *rows))


PLAIN = text()
HEADER, FIRST, *_ = PLAIN.splitlines()
CELL = FIRST.split(",")[0]  # alpha


def indexed(index, name=""):
    lines = PLAIN.splitlines()
    return "\n".join([f"{name},{lines[0]}", *(f"{i},{line}" for i, line in zip(index, lines[1:]))])


def savetxt(**options):
    file = io.StringIO()
    np.savetxt(file, POINTS, fmt="%.17g", **options)
    return file.getvalue()


def to_csv(**options):
    file = io.BytesIO()
    FRAME.to_csv(file, **options)
    return file.getvalue()


ECSV = "# %ECSV 1.0\n# ---\n# datatype:\n# - {name: alpha, datatype: float64}\n"
DIALECTS = {
    "comma": PLAIN,
    "semicolon": text(";"),
    "tab": text("\t"),
    "blanks": text("   "),
    "comma and blank": text(", "),
    "quoted": text(quote='"'),
    "quoted after blanks": text(", ", quote='"'),
    "single quotes": text(quote="'"),
    "crlf": text(end="\r\n"),
    "cr": text(end="\r"),
    "no newline at the end": PLAIN.rstrip(),
    "blank lines": text(end="\n\n  \n"),
    "trailing separators": text(tail=","),
    "trailing tabs": text("\t", tail="\t\t"),
    "trailing separators in rows": PLAIN.replace("\n", ",\n").replace(f"{HEADER},", HEADER),
    "byte order mark": b"\xef\xbb\xbf" + PLAIN.encode(),
    "byte order mark and quotes": b"\xef\xbb\xbf" + text(quote='"').encode(),
    "utf-16": PLAIN.encode("utf-16"),
    "utf-16 big endian": b"\xfe\xff" + PLAIN.encode("utf-16-be"),
    "gzip": gzip.compress(PLAIN.encode()),
    "sep=": "sep=;\n" + text(";"),
    "header behind #": text(head="# "),
    "header behind # at once": text(head="#"),
    "header behind # with other separators": savetxt(header=", ".join(NAMES)),
    "prose, then a header behind #": "# with h = 0.7, sigma_8\n" + text(head="# "),
    "header behind #, then prose": text(head="# ").replace("\n", '\n# h is "H0 / 100\n', 1),
    "savetxt": savetxt(header=" ".join(NAMES)),
    "savetxt, commas": savetxt(header="my\n" + ",".join(NAMES), delimiter=",", footer="end"),
    "comments": text(end="\n# note\n"),
    "comments that a spreadsheet quoted": '"# {""a"": 1}",,\n' + PLAIN + '"# end"\n',
    "comment in latin-1": "# Müller\n".encode("latin-1") + PLAIN.encode(),
    "inline comments": PLAIN.replace("\n", " # best fit\n").replace(f"{HEADER} #", f"{HEADER} #"),
    "units in the header": PLAIN.replace("Mth", "Mth [Msun]").replace("h,", "h [],", 1),
    "ecsv": ECSV + text(" "),
    "ecsv with units": ECSV + "# - {name: Mth, unit: solMass, datatype: float64}\n" + text(" "),
    "pandas": to_csv(),
    "pandas without index": to_csv(index=False),
    "pandas for spreadsheets": to_csv(sep=";", encoding="utf-8-sig"),
    "pandas in utf-16": to_csv(encoding="utf-16"),
    "pandas, quoted": to_csv(quoting=1),
    "pandas, read and written again": indexed("012", "Unnamed: 0"),
    "pandas, a selection of rows": indexed((17, 4, 99)),
    "R": indexed(('"1"', '"2"', '"3"'), '""'),
}
JSON = {
    "lists": json.dumps(LISTS),
    "objects": json.dumps(RECORDS),
    "objects over many lines": json.dumps(RECORDS, indent=2),
    "objects by row label": FRAME.to_json(double_precision=15),
    "byte order mark": b"\xef\xbb\xbf" + json.dumps(LISTS).encode(),
    "utf-16": json.dumps(RECORDS).encode("utf-16"),
    "gzip": gzip.compress(json.dumps(RECORDS).encode()),
}


def npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


NPZ = {
    "columns": npz(**{name: FRAME[name].to_numpy() for name in ORDER}),
    "theta": npz(theta=POINTS),
    "theta and names": npz(theta=FRAME.to_numpy(), names=np.array(ORDER)),
    "structured": npz(theta=FRAME.to_records(index=False)),
}
FILES = [
    *((f".csv {name}", ".csv", content) for name, content in DIALECTS.items()),
    *((f"suffix {suffix}", suffix, PLAIN)
      for suffix in (".CSV", ".txt", ".TXT", ".tsv", ".dat", ".ecsv")),
    *((f".json {name}", ".json", content) for name, content in JSON.items()),
    *((f".npz {name}", ".npz", content) for name, content in NPZ.items()),
    (".csv.gz", ".csv.gz", gzip.compress(PLAIN.encode())),
    (".JSON", ".JSON", json.dumps(LISTS)),
]  # fmt: skip


@pytest.fixture
def write(tmp_path):
    def write(content, suffix=".csv"):
        path = tmp_path / f"points{suffix}"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize(("suffix", "content"), [file[1:] for file in FILES],
                         ids=[file[0] for file in FILES])  # fmt: skip
def test_every_dialect_is_read_alike_by_all(write, suffix, content):
    path = write(content, suffix)
    np.testing.assert_allclose(read_table(path, UNITS), POINTS, rtol=1e-14)
    np.testing.assert_array_equal(Points.read(path).theta, read_table(path, UNITS))


def refused(path, message):
    """By both readers, in one line that names the file."""
    for read in (lambda: read_table(path, UNITS), lambda: Points.read(path)):
        with pytest.raises(ValueError, match=message) as error:
            read()
        assert str(error.value).startswith(str(path))
        assert "\n" not in str(error.value)


CELLS = {
    "high": ": alpha = 'high' is not a number",
    "": ": alpha = '' is empty; write nan where there is no value",
    "NA": ": alpha = 'NA' is not a number",
    "10_000": ": alpha = '10_000' is not a number",
    "0x10": ": alpha = '0x10' is not a number",
    "１.5": ": alpha = '１.5' is not a number",
    "−0.5": ": alpha = '−0.5' is not a number",
    "True": ": alpha = 'True' is not a number",
    "1+0j": r": alpha = '1\+0j' is not a number",
    "1.0D+00": r": alpha = '1.0D\+00' has an exponent of Fortran; write 1e13",
    '"0,5"': ": alpha = '0,5' has a comma; write 0.25 and 10000",
    '"1,000,000"': ": alpha = '1,000,000' has a comma",
    "0.5\0": r": alpha = '0.5\\x00' is not a number",
    "\udcfc": r": alpha = '\\udcfc' is not UTF-8 text",
    "0.5,0.5": " has 14 values, the header 13 names",
    "#N/A": ": alpha = '#N/A' is not a number",
    "#DIV/0!": ": alpha = '#DIV/0!' is not a number",
    '"0.5': ": .* has no cells that can be separated .unexpected end of data",
    '"1"8': ": .* has no cells that can be separated",
    '""0.5': ": .* has no cells that can be separated",
    "x" * 200_000: ": .* has no cells that can be separated .field larger than field limit",
}


@pytest.mark.parametrize(("cell", "message"), CELLS.items(), ids=range(len(CELLS)))
def test_a_cell_that_is_no_number_is_named_with_line_row_and_column(write, cell, message):
    *before, last = ("#" * 600 + "\n" + PLAIN).splitlines()
    content = "\n".join([*before, cell + last[last.index(",") :]])
    refused(write(content.encode(errors="surrogateescape")), f"line 5: row 2{message}")


def test_what_is_wrong_far_down_is_named_by_its_line_and_row(write):
    rows = text_table.ROWS + 1500
    content = HEADER + "\n# note\n\n" + f"{FIRST}\n" * rows + FIRST.replace(CELL, "x")
    refused(write(content), f"line {rows + 4}: row {rows}: alpha = 'x' is not a number")
    assert len(read_table(write(content.removesuffix(FIRST.replace(CELL, "x"))), UNITS)) == rows


def test_blocks_have_few_rows(write):
    blocks = list(read_blocks(write(HEADER + "\n" + f"{FIRST}\n" * 10_000), UNITS))
    assert sum(map(len, blocks)) == 10_000
    assert max(map(len, blocks)) <= text_table.ROWS


def test_nan_is_a_number_that_the_ranges_refuse(write):
    path = write(PLAIN.replace(CELL, "nan", 1))
    assert np.isnan(read_table(path, UNITS)[0, NAMES.index("alpha")])
    with pytest.raises(ValueError, match="row 0: alpha = nan is outside"):
        Points.read(path)


TABLES = {
    "": "it is empty; its first line must name the parameters",
    "\n \n": "it is empty",
    "# one\n# two\n": "it has only comments",
    HEADER: "holds no points",
    f"{HEADER}\n# note\n": "holds no points",
    PLAIN.replace(f"{HEADER}\n", ""): "its first line must name the parameters; it has numbers",
    "x,y\n1,2\n": "missing parameters: Om_c, .*; unknown parameters: x, y; expected",
    PLAIN.replace("n_s", "beta"): "missing parameters: n_s; given twice: beta; expected",
    PLAIN.replace(HEADER, f"{HEADER},beta"): "given twice: beta; expected Om_c",
    PLAIN.replace(HEADER, f"{HEADER},Om_k"): "unknown parameters: Om_k.*; expected Om_c",
    PLAIN.replace(HEADER, HEADER.replace(",h", ",,h")): "unknown parameters: ; expected Om_c",
    PLAIN.replace("sigma_8", "sigma8"): r"unknown .*: sigma8 \(did you mean 'sigma_8'\?\)",
    PLAIN.replace("Mth", "Mth [Msun/h]"): "Mth has the unit Msun/h, expected Msun; convert it",
    PLAIN.replace("Mth", "Mth (kg)"): "Mth has the unit kg, expected Msun; convert it",
    PLAIN.replace("Mth", "log10(Mth)"): r"unknown parameters: log10\(Mth\)",
    f"# - {{name: Mth, unit: kg, datatype: float64}}\n{PLAIN}": "Mth has the unit kg, expected",
    PLAIN.replace(".", ","): "line 2: row 0 has 26 values, .* are there decimal commas",
    text(";").replace(".", ","): "line 2: row 0: alpha = .* has a comma; write 0.25",
    indexed((0.5, 1.5, 2.5)): "its first column has no name and holds more than row numbers",
    indexed("abc"): "line 2: row 0: the first column = 'a' is not a number",
    indexed("012", "id"): "unknown parameters: id; expected",
    PLAIN.replace(FIRST, f'"{FIRST}'): "no cells that can be separated",
    "x" * 200_000 + PLAIN: "no cells that can be separated",
    f"# {','.join(NAMES)}\n# {PLAIN}": "two lines behind # name the parameters, in different",
}


@pytest.mark.parametrize(("content", "message"), TABLES.items(), ids=range(len(TABLES)))
def test_a_table_with_other_columns_is_refused_by_name(write, content, message):
    refused(write(content), message)


def changed(i, **changes):
    return json.dumps([*RECORDS[:i], RECORDS[i] | changes, *RECORDS[i + 1 :]])


def without(name):
    return {key: value for key, value in RECORDS[1].items() if key != name}


WRONG_JSON = {
    "": "it is not JSON, or not all of it",
    "3": "it is neither an object of numbers or lists nor a list of objects",
    "[]": "holds no points",
    "{}": "missing parameters: Om_c",
    json.dumps(LISTS)[:-1]: "it is not JSON, or not all of it .Expecting",
    json.dumps(RECORDS)[:-9]: "ends before its list does; it was cut off",
    json.dumps(RECORDS) * 2: "goes on after its list",
    json.dumps(LISTS).replace('"n_s"', '"beta"'): "an object has beta twice",
    json.dumps(RECORDS).replace('"n_s"', '"beta"', 1): "an object has beta twice",
    json.dumps([RECORDS[0], without("h")]): "point 1: missing parameters: h; expected",
    changed(2, Om_k=0.0): "point 2: unknown parameters: Om_k.*; expected",
    changed(1, h="0.7"): "point 1: h = '0.7' is not a real number",
    changed(1, h=None): "point 1: h = None is not a real number",
    changed(1, h=True): "point 1: h = True is not a real number",
    changed(1, h=[0.7]): "point 1: h is a list, expected a number",
    changed(1, h=10**400): "point 1: h is not an array of numbers .int too large",
    json.dumps([RECORDS[0], list(RECORDS[1].values())]): "point 1 is not an object of Om_c, ",
    json.dumps(LISTS | {"h": [0.7]}): "parameters differ in length",
    json.dumps(LISTS | {"h": [0.7, "0.7", 0.7]}): "h = .* is not a real number",
    FRAME.to_json(orient="split"): "unknown parameters: columns, index, data",
    "[" * 100_000: "lists within lists without an end",
    '{"h": ' + "[" * 100_000: "maximum recursion depth",
}


@pytest.mark.parametrize(("content", "message"), WRONG_JSON.items(), ids=range(len(WRONG_JSON)))
def test_json_that_is_damaged_or_of_other_content_is_refused(write, content, message):
    refused(write(content, ".json"), message)


def zipped(**files):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


PACKED = gzip.compress(PLAIN.encode())
DAMAGED = {
    "npz, cut": (".npz", NPZ["columns"][:1500], "it is not a whole npz archive"),
    "npz, last byte": (".npz", NPZ["columns"][:-1], "it is not a whole npz archive"),
    "npz, empty": (".npz", b"", "it is not a whole npz archive"),
    "npz, text": (".npz", PLAIN, "it is not a whole npz archive"),
    "npz, pickle": (".npz", pickle.dumps(POINTS), "it is not a whole npz archive"),
    "npz, npy": (".npz", npy(POINTS), "it is not a whole npz archive"),
    "npz, objects": (".npz", npz(theta=np.array([{}])), "Object arrays cannot be loaded"),
    "npz, other zip": (".npz", zipped(readme=b"x"), "unknown parameters: readme"),
    "npz, no header": (".npz", zipped(**{"theta.npy": b"\x93NUMPY"}), "EOF"),
    "npz, columns missing": (".npz", npz(theta=POINTS[:, 1:]), r"theta has shape \(3, 12\), exp"),
    "npz, no points": (".npz", npz(theta=POINTS[:0]), "holds no points"),
    "npz, complex": (".npz", npz(theta=POINTS + 0j), "is not a real number"),
    "npz, more": (".npz", npz(theta=POINTS, w=POINTS), "unknown parameters: theta.*, w"),
    "csv, utf-16 without mark": (".csv", PLAIN.encode("utf-16-le"), "it has zero bytes"),
    "csv, utf-16 cut": (".csv", PLAIN.encode("utf-16")[:-1], "truncated data"),
    "csv, latin-1 header": (".csv", b"\xfc" + PLAIN.encode(), r"unknown parameters: \\udcfcalpha"),
    "csv, spreadsheet": (".csv", zipped(a=b""), "is not text but a zip archive, as .npz and .xlsx"),
    "csv, HDF5": (".csv", b"\x89HDF\r\n\x1a\n", "is not text but HDF5"),
    "csv, page": (".csv", "<html>", "is not text but XML or HTML"),
    "gz, cut": (".csv.gz", PACKED[:-9], "is damaged.* ended before the end-of-stream marker"),
    "gz, altered": (".csv", PACKED[:30] + b"xxxx" + PACKED[34:], "is damaged"),
    "json, latin-1": (".json", b'{"\xfc": 1}', "'utf-8' codec can't decode byte 0xfc"),
    "json, zeros": (".json", b"\0" * 100, "is not text: it has zero bytes"),
}


@pytest.mark.parametrize(("suffix", "content", "message"), DAMAGED.values(), ids=DAMAGED)
def test_damaged_files_are_refused_in_one_line(write, suffix, content, message):
    refused(write(content, suffix), message)


def test_any_bit_of_an_archive_may_flip_and_no_point_changes_unseen(write):
    data, rng = NPZ["columns"], np.random.default_rng(1)
    expected = read_table(write(data, ".npz"), UNITS)
    for position in range(0, len(data), 7):
        damaged = bytearray(data)
        damaged[position] ^= 1 << rng.integers(8)
        path = write(bytes(damaged), ".npz")
        try:
            np.testing.assert_array_equal(read_table(path, UNITS), expected)
        except TableError:
            refused(path, "points.npz")


@pytest.mark.parametrize("suffix", [".h5", ".H5"])
def test_parameter_files_in_hdf5_are_tables_too(tmp_path, suffix):
    path = tmp_path / "points.h5"
    Points.of(Design(3), Space()).write(path)
    path = path.rename(tmp_path / f"points{suffix}")
    np.testing.assert_array_equal(read_table(path, UNITS), POINTS)
    columns = [NAMES.index(name) for name in ORDER]
    shuffled = read_table(path, {name: UNITS[name] for name in ORDER})
    np.testing.assert_array_equal(shuffled, POINTS[:, columns])
    with pytest.raises(ValueError, match=r"points\..5: unknown parameters: beta .*; expected Om_c"):
        read_table(path, {name: UNITS[name] for name in NAMES[:-1]})
    path.write_bytes(path.read_bytes()[:-1])
    refused(path, "was altered or damaged: its checksum does not match its content$")


def test_other_files_are_refused(tmp_path):
    for name in ("points.xlsx", "points", "points.csv.bz2", "points.npz.gz", "points.h5.gz"):
        with pytest.raises(ValueError, match=f"{name}: points are read from .csv, .tsv, .txt"):
            read_table(tmp_path / name, UNITS)
    with pytest.raises(FileNotFoundError, match="no points at"):
        read_table(tmp_path / "none.csv", UNITS)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ValueError, match=r"folder.csv is a folder, not a table"):
        read_table(tmp_path / "folder.csv", UNITS)


@pytest.mark.parametrize(
    "alter",
    [
        lambda comment: comment.replace('"space"', '"spice"'),
        lambda comment: comment[: len(comment) // 2],
        lambda comment: '"' + comment.replace('"', '""') + '",,,',  # what a spreadsheet makes of it
        lambda comment: comment.replace("# ", "#"),
        lambda comment: f"# mine\n{comment.replace('lhs', 'sobol')}",
        lambda comment: "# hodspectra-parameters-2 []",
    ],
)
def test_a_parameter_file_whose_comment_was_altered_is_refused(tmp_path, alter):
    path = tmp_path / "points.csv"
    Points.of(Design(3), Space()).write(path)
    comment, rest = path.read_text().split("\n", 1)
    path.write_text(f"{alter(comment)}\n{rest}")
    if alter(comment) == comment.replace("# ", "#"):
        np.testing.assert_array_equal(Points.read(path).theta, POINTS)
        return
    with pytest.raises(ValueError, match=f"^{path}") as error:
        Points.read(path)
    assert "\n" not in str(error.value)
    path.write_text(rest)  # the way out
    assert set(Points.read(path).design) == {"given", "points"}
