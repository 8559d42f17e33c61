"""NNPowerspectra's files: every bit survives both ways, and damaged files say what is wrong."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from datagen import json_points
from datagen.halomodel import HaloModelConfig, KGrid
from datagen.nnpowerspectra import KEYS, export_labels, import_labels, main
from datagen.outputs import NUMBERS
from datagen.space import Range, Space
from datagen.store import Spectra

SURVEY = Space(w0=Range(-1.2, -0.8), wa=Range(-0.5, 0.5), z=Range(0.0, 1.0))
REFERENCE = Path(__file__).parent / "reference" / "g3lhalo_linear_mass.npz"


@pytest.fixture(scope="module")
def published():
    """Points of the published box as computed by G3LHalo: (spectra, parameters)."""
    with np.load(REFERENCE) as file:
        names = [str(name) for name in file["names"]]
        parameters = [dict(zip(names, row.tolist(), strict=True)) for row in file["params"]]
        columns = {key: file[key].tolist() for key in KEYS}
    rows = zip(*columns.values(), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows], parameters


def write(folder, data, parameters, **options):
    paths = folder / "GeneratedData.json", folder / "Parameter.json"
    for path, content in zip(paths, (data, parameters), strict=True):
        path.write_text(json.dumps(content, **options))
    return paths


def test_import_keeps_every_bit_and_every_point(tmp_path, published):
    data, parameters = published
    paths = write(tmp_path, data, parameters, indent=4)  # as NNPowerspectra writes them
    spectra = Spectra.read(import_labels(*paths, out=tmp_path / "labels.h5"))
    for key, name in KEYS.items():
        np.testing.assert_array_equal(spectra[name], [point[key] for point in data], strict=True)
    today = {"w0": -1.0, "wa": 0.0, "z": 0.0}  # their universe, which their files do not tell
    for i, name in enumerate(Space().names):
        expected = [(today | point)[name] for point in parameters]
        np.testing.assert_array_equal(spectra.theta[:, i], expected, err_msg=name)
    np.testing.assert_array_equal(spectra.k, np.geomspace(1e-2, 1e2))
    # most points of a linear-mass box have negative 1-halo pairs; all of them are there
    assert (spectra["gg_1h"] < 0).any(axis=1).sum() == 45
    assert not spectra.failed


def test_import_records_where_labels_come_from(tmp_path, published):
    paths = write(tmp_path, *published)
    spectra = Spectra.read(import_labels(*paths, out=tmp_path / "labels.h5"))
    assert not set(NUMBERS) & set(spectra.arrays)
    assert spectra.metadata["model"]["model"] == "g3lhalo"
    assert spectra.metadata["imported"]["data"]["file"] == "GeneratedData.json"
    assert len(spectra.metadata["imported"]["parameters"]["sha256"]) == 64
    space = Space.from_dict(spectra.metadata["space"])
    assert not space.is_log.any()
    assert (space["Mprime"].low, space["Mprime"].high) == (1e10, 1e17)


def test_import_then_export_repeats_the_files(tmp_path, published):
    labels = import_labels(*write(tmp_path, *published), out=tmp_path / "labels.h5")
    data, parameters = export_labels(labels, tmp_path / "Data")
    assert (json.loads(data.read_text()), json.loads(parameters.read_text())) == published
    assert data.name.startswith("GeneratedData_80_20")
    assert parameters.name == data.name.replace("GeneratedData", "Parameter")


@pytest.mark.parametrize("space", [Space(), Space(z=Range(0.5, 0.5)), SURVEY])
def test_export_then_import_repeats_the_labels(tmp_path, space):
    rng = np.random.default_rng(3)
    theta = space.from_unit(rng.random((5, len(Space().names))))
    # any float64, down to the smallest, up to where sums stay finite, and both zeros
    exponents = rng.uniform(-320, 300, (7, 5, 4))
    arrays = dict(
        zip(
            ("P_lin", "mm_1h", "mm_2h", "gm_1h", "gm_2h", "gg_1h", "gg_2h"),
            rng.choice([-1.0, 1.0], exponents.shape) * 10**exponents,
            strict=True,
        )
    )
    arrays["gg_1h"][0, :2] = 5e-324, -0.0
    grid = KGrid(0.1, 1.0, 4)
    metadata = {"model": asdict(HaloModelConfig(k=grid)), "space": space.as_dict(),
                "design": {"points": 5}, "provenance": {"commit": "none"}}  # fmt: skip
    Spectra(theta, grid.values(), arrays, metadata).write(tmp_path / "a.h5")
    paths = export_labels(tmp_path / "a.h5", tmp_path)
    before = Spectra.read(tmp_path / "a.h5")
    after = Spectra.read(import_labels(*paths, out=tmp_path / "b.h5", space=space, k=grid))
    assert after.hash() == before.hash()  # over all bytes, so that -0.0 is not 0.0


@pytest.mark.parametrize("chunk", [pytest.param(1, marks=pytest.mark.slow), 7, 70, 4096])
def test_import_does_not_depend_on_how_much_is_read_at_once(
    tmp_path, published, chunk, monkeypatch
):
    data, parameters = published
    paths = write(tmp_path, data[:2], parameters[:2], indent=4)
    whole = Spectra.read(import_labels(*paths, out=tmp_path / "whole.h5"))
    monkeypatch.setattr(json_points, "_CHUNK", chunk)
    pieces = Spectra.read(import_labels(*paths, out=tmp_path / "pieces.h5"))
    assert pieces.hash() == whole.hash()


def with_point(data, **changes):
    return [data[0], data[1] | changes, *data[2:]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d, p: ([{"Pk_mm": [1.0]}], p), "point 0 must have the keys Pk_ss_1h.*has Pk_mm"),
        (lambda d, p: (with_point(d, k=[1.0]), p), "point 1 must have the keys"),
        (lambda d, p: ({"Pk_lin": []}, p), "GeneratedData.json is not a JSON list of points"),
        (lambda d, p: ([d[0], 3.0], p), "point 1 must have the keys.*it has float"),
        (lambda d, p: (d[:-1], p), "holds 79 points, .*Parameter.json holds 80"),
        (lambda d, p: (d, p[:-1]), "holds 80 points, .*Parameter.json holds 79"),
        (lambda d, p: (with_point(d, Pk_sl=d[1]["Pk_sl"][1:]), p),
         r"point 1: Pk_sl has shape \(49,\), expected 50 numbers, one for each k; see --k"),
        (lambda d, p: (with_point(d, Pk_lin=[float("nan")] * 50), p),
         "point 1: Pk_lin is not finite"),
        (lambda d, p: (with_point(d, Pk_lin=[float("-inf")] * 50), p),
         "point 1: Pk_lin is not finite"),
        (lambda d, p: (with_point(d, Pk_lin=[None] * 50), p),
         r"point 1: Pk_lin is something other than numbers: \[null, null"),
        (lambda d, p: (with_point(d, Pk_lin=["1.5"] * 50), p), "Pk_lin is something other than"),
        (lambda d, p: (with_point(d, Pk_lin=[[1.0], 2.0]), p), "Pk_lin is something other than"),
        (lambda d, p: (with_point(d, Pk_lin={"a": 1}), p), "Pk_lin is something other than"),
        (lambda d, p: (with_point(d, Pk_lin=[[1.0] * 50]), p), r"shape \(1, 50\), expected 50"),
        (lambda d, p: (d, with_point(p, h="0.7")), 'point 1: h is something other .*: "0.7"'),
        (lambda d, p: (d, with_point(p, h=True)), "point 1: h is something other .*: true"),
        (lambda d, p: (d, with_point(p, h=10**400)), "point 1: h is something other than numbers"),
        (lambda d, p: (with_point(d, Pk_ll=d[1]["Pk_ll_1h"]), p),
         r"point 1: Pk_ll is not Pk_ll_1h \+ Pk_ll_2h"),
        (lambda d, p: (d, with_point(p, Om_k=0.0)),
         r"point 1 must have the keys Om_c, .*beta, and may have w0, wa, z; it has .*Om_k"),
        (lambda d, p: (d, [{n: v for n, v in p[0].items() if n != "h"}, *p[1:]]),
         "Parameter.json, point 0 must have the keys Om_c, Om_b, h, "),
        (lambda d, p: (d, with_point(p, z=0.5)),
         r"point 1: z = 0.5 is outside the space, \[0, 0\].*--space.z"),
        (lambda d, p: (d, with_point(p, h=[0.7])), r"point 1: h has shape \(1,\), .* one number"),
        (lambda d, p: (d, with_point(p, Mth=12.5)), "Parameter.json: row 1: Mth = 12.5"),
        (lambda d, p: (d, with_point(p, Om_b=0.02)),
         r"point 1: Om_b = 0.02 is outside the space, \[0.04, 0.06\].*--space.Om_b"),
        (lambda d, p: ([], []), "Parameter.json holds no points"),
    ],
)  # fmt: skip
def test_wrong_content_is_refused(tmp_path, published, change, message):
    paths = write(tmp_path, *change(*published))
    with pytest.raises(ValueError, match=message):
        import_labels(*paths, out=tmp_path / "labels.h5")
    assert not (tmp_path / "labels.h5").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[:-1], "ends before its list does"),
        (lambda text: text[:30_000], "ends before its list does"),
        (lambda text: text[:30_000] + ";" + text[30_000:], "is damaged"),
        (lambda text: text.replace("}, {", "} {", 1), "is damaged: no comma between two points"),
        (lambda text: "", "is not a JSON list"),
        (lambda text: text + text, r"goes on after its list, with '\[\{"),
        (lambda text: text + "\n" * 2_000_000 + "x", "goes on after its list, with 'x'"),
        (lambda text: '[{"a": ' + "[" * 100_000, "is damaged: lists within lists"),
        (
            lambda text: text.replace('"Pk_lin"', '"Pk_ss"', 1),
            "is damaged: an object has Pk_ss twice",
        ),
        (lambda text: "[" + "9" * 10_000 + "]", "is damaged: Exceeds the limit"),
        (lambda text: text[:500] + "\udcff" + text[500:], "is damaged: 'utf-8' codec can't decode"),
    ],
)
def test_damaged_json_is_refused_in_one_line_that_names_the_file(
    tmp_path, published, damage, message
):
    paths = write(tmp_path, *published)
    text = damage(paths[0].read_text())
    paths[0].write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(ValueError, match=f"^{paths[0]} {message}") as refused:
        import_labels(*paths, out=tmp_path / "labels.h5")
    assert "\n" not in str(refused.value)
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_a_byte_order_mark_is_no_damage(tmp_path, published):
    paths = write(tmp_path, *published)
    for path in paths:
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(Spectra.read(import_labels(*paths, out=tmp_path / "labels.h5"))) == 80


def test_what_json_cannot_hold_is_not_written(tmp_path, published):
    labels = import_labels(*write(tmp_path, *published), out=tmp_path / "labels.h5")
    spectra = Spectra.read(labels)
    for term in ("gg_1h", "gg_2h"):
        spectra.arrays[term][3, 4] = 1e308  # a total that overflows
    spectra.write(labels)
    with pytest.warns(RuntimeWarning, match="overflow"), \
            pytest.raises(ValueError, match="GeneratedData_.*: Pk_ll is not finite"):  # fmt: skip
        export_labels(labels, tmp_path / "Data")
    assert list((tmp_path / "Data").iterdir()) == []


def test_command_line_names_space_and_wavenumbers(tmp_path, published, capsys):
    data, parameters = published
    data = [{key: values[:7] for key, values in point.items()} for point in data]
    paths = write(tmp_path, data, with_point(parameters, Om_c=0.06))
    command = ["import", f"--data={paths[0]}", f"--parameters={paths[1]}", f"--out={tmp_path}/l.h5"]
    with pytest.raises(SystemExit, match="2"):
        main(command)
    assert "Om_c = 0.06 is outside the space" in capsys.readouterr().err
    grid = ["--k.low=0.02", "--k.high=3", "--k.points=7"]
    main([*command, *grid, "--space.Om_c.low=0.05", "--space.Mth.sampling=log10"])
    spectra = Spectra.read(tmp_path / "l.h5")
    space = Space.from_dict(spectra.metadata["space"])
    assert space["Om_c"] == Range(0.05, 0.6, "linear")
    assert space["Mth"] == Range(1e10, 1e15, "log10")
    assert space["Mprime"] == Range(1e10, 1e17, "linear")
    np.testing.assert_array_equal(spectra.k, np.geomspace(0.02, 3, 7))
    main(["export", f"--labels={tmp_path}/l.h5", f"--folder={tmp_path}/Data"])
    assert "80 points (7 wavenumbers, 0.02 to 3 1/Mpc)" in capsys.readouterr().out


def test_an_existing_label_file_is_kept(tmp_path, published):
    paths = write(tmp_path, *published)
    import_labels(*paths, out=tmp_path / "labels.h5")
    with pytest.raises(FileExistsError, match=r"labels\.h5 exists; pass --overwrite true"):
        import_labels(*paths, out=tmp_path / "labels.h5")
    import_labels(*paths, out=tmp_path / "labels.h5", overwrite=True)


def test_nothing_but_a_label_file_is_replaced(tmp_path, published):
    paths = write(tmp_path, *published)
    before = paths[0].read_bytes()
    for overwrite in (False, True):
        with pytest.raises(
            FileExistsError, match="is not a label file, so it is kept; give another"
        ):
            import_labels(*paths, out=paths[0], overwrite=overwrite)
    assert paths[0].read_bytes() == before


def test_the_recorded_model_is_a_whole_configuration(tmp_path, published):
    paths = write(tmp_path, *published)
    model = Spectra.read(import_labels(*paths, out=tmp_path / "labels.h5")).metadata["model"]
    config = HaloModelConfig(**model | {"k": KGrid(**model["k"])})
    assert (config.model, config.linear_power, config.camb) == ("g3lhalo", "camb", "pyccl")
