"""Label generation: the right labels, every failure on record, every mistake named."""

import json
import os
import socket
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from support.coarse import MODEL, SHARD, SPACE, command_line, make, start

from datagen import generate as generate_module
from datagen.design import Design, Points, draw
from datagen.files import BusyError, exclusive
from datagen.generate import compute, generate, main
from datagen.halomodel import HaloModel
from datagen.linear_power import TableBox
from datagen.power import run_node
from datagen.record import maker
from datagen.request import LIBRARIES, MODULES
from datagen.space import BACKGROUND, Range, Space
from datagen.store import Spectra, StoreError

ROUNDING = 1e-11  # matrix products of other sizes; a point in a wrong place is off by 1


# so few and so heavy haloes that at the low end of sigma_8 there are no galaxies at all
NO_GALAXIES = replace(
    SPACE,
    sigma_8=Range(0.1, 0.9),
    w0=Range(-1.0, -1.0),
    wa=Range(0.0, 0.0),
    z=Range(0.0, 0.0),
    sigma=Range(0.01, 0.01),
    Mth=Range(1e16, 1e16),
)


def test_labels_are_the_halo_model_at_the_points_of_the_design(four_shards, table):
    spectra = Spectra.read(four_shards)
    np.testing.assert_array_equal(spectra.theta, draw(Design(4 * SHARD), SPACE))
    rows = np.array([0, 60, 199])
    for name, expected in HaloModel(MODEL, table)(spectra.theta[rows]).items():
        np.testing.assert_allclose(spectra[name][rows], expected, rtol=ROUNDING)


def test_file_tells_how_it_was_made(four_shards):
    metadata = Spectra.read(four_shards).metadata
    assert Space.from_dict(metadata["space"]) == SPACE
    assert Design(**metadata["design"]) == Design(4 * SHARD)
    assert metadata["model"] == json.loads(json.dumps(asdict(MODEL)))
    made_by = {"commit", "code", "hodspectra", "numpy", "scipy", "pyccl", "camb"}
    assert set(metadata["provenance"]) == made_by


def test_a_finished_request_is_not_computed_again(four_shards, capsys, monkeypatch):
    monkeypatch.setattr(generate_module, "ray_map", None)
    assert make(four_shards, 4 * SHARD) == four_shards
    assert "is complete already" in capsys.readouterr().out


def test_shards_are_gone_when_the_label_file_is_there(four_shards):
    assert [path.name for path in four_shards.parent.iterdir()] == ["labels.h5"]


def test_command_line_writes_the_labels_of_the_call(ray, table, tmp_path, capsys):
    arguments = command_line(tmp_path / "labels.h5", 20)[3:]
    main(arguments)
    assert "20 points in" in capsys.readouterr().out
    with h5py.File(tmp_path / "labels.h5") as file:
        assert json.loads(file["metadata"][()])["design"]["points"] == 20
    direct = make(tmp_path / "direct.h5", 20)
    assert direct.read_bytes() == (tmp_path / "labels.h5").read_bytes()


def recording(folder, function=compute):
    """`compute` that also writes down which points it was given."""

    def wrapped(theta, **options):
        np.save(folder / f"{time.time_ns()}.npy", theta)
        return function(theta, **options)

    return wrapped


def test_sobol_extends_without_computing_a_point_twice(table, tmp_path, monkeypatch):
    out, asked = tmp_path / "labels.h5", tmp_path / "asked"
    asked.mkdir()
    make(out, 60, method="sobol")
    first = Spectra.read(out)
    monkeypatch.setattr(generate_module, "compute", recording(asked))
    make(out, 140, method="sobol")
    extended = Spectra.read(out)
    theta = draw(Design(140, "sobol"), SPACE)
    np.testing.assert_array_equal(extended.theta, theta)
    computed = np.concatenate([np.load(path) for path in asked.iterdir()])
    np.testing.assert_array_equal(np.unique(computed, axis=0), np.unique(theta[60:], axis=0))
    assert len(computed) == 80
    for name, array in first.arrays.items():
        np.testing.assert_array_equal(extended[name][:60], array)
    whole = Spectra.read(make(tmp_path / "whole.h5", 140, method="sobol"))
    for name, array in whole.arrays.items():
        np.testing.assert_allclose(extended[name], array, rtol=ROUNDING)
    assert extended.metadata["extends"]["sha256"] == first.hash()
    assert extended.metadata["extends"]["points"] == 60


@pytest.mark.slow
def test_failed_points_of_the_extended_file_keep_their_place(table, tmp_path):
    out, whole = tmp_path / "labels.h5", tmp_path / "whole.h5"
    make(out, 64, space=NO_GALAXIES, method="sobol")
    make(out, 128, space=NO_GALAXIES, method="sobol")
    make(whole, 128, space=NO_GALAXIES, method="sobol")
    assert min(Spectra.read(out).failed) < 64 < max(Spectra.read(out).failed)
    assert Spectra.read(out).failed == Spectra.read(whole).failed
    np.testing.assert_array_equal(Spectra.read(out).theta, Spectra.read(whole).theta)


@pytest.mark.parametrize(
    ("points", "method", "message"),
    [
        (300, "lhs", "a Latin hypercube, which cannot be extended .* use design.method sobol"),
        (100, "lhs", "has other settings .design.points is 200, not 100.; pass --overwrite"),
        (300, "sobol", "design.method is lhs, not sobol; design.points is 200, not 300"),
    ],
)
def test_a_label_file_that_answers_another_request_stays(four_shards, points, method, message):
    before = four_shards.read_bytes()
    with pytest.raises(FileExistsError, match=message):
        make(four_shards, points, method=method)
    assert four_shards.read_bytes() == before


def test_a_flipped_bit_is_seen_before_a_file_is_said_to_answer_and_overwrite_mends_it(
    four_shards, tmp_path, monkeypatch
):
    out, whole = tmp_path / "labels.h5", four_shards.read_bytes()
    for place in (40, len(whole) // 2, len(whole) - 1):
        content = bytearray(whole)
        content[place] ^= 1
        out.write_bytes(content)
        with pytest.raises(StoreError, match="labels.h5 was altered.* with --overwrite true"):
            make(out, 4 * SHARD)
        assert out.read_bytes() == content
    assert make(out, 4 * SHARD, overwrite=True).read_bytes() == whole


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("content", [b"an emulator", b"\x89HDF\r\n\x1a\n of somebody"])
def test_what_is_no_label_file_is_replaced_by_nothing_and_no_advice_says_so(
    tmp_path, content, overwrite
):
    out = tmp_path / "emulator.onnx"
    out.write_bytes(content)
    message = "is not a label file, so it is kept; give another --out$"
    with pytest.raises(FileExistsError, match=message):
        make(out, 20, overwrite=overwrite)
    assert out.read_bytes() == content
    assert list(tmp_path.iterdir()) == [out]


def test_an_empty_file_is_in_nobodys_way(table, tmp_path):
    out = tmp_path / "labels.h5"
    out.touch()
    with pytest.raises(StoreError, match="is not a label file; it is empty"):
        make(out, 20)
    assert len(Spectra.read(make(out, 20, overwrite=True))) == 20


def test_labels_of_other_code_are_said_to_be_that_and_not_extended(table, tmp_path, monkeypatch):
    out = make(tmp_path / "labels.h5", 20, method="sobol")
    before = out.read_bytes()
    monkeypatch.setattr("datagen.request.maker", lambda *_: {"code": "new", "camb": "9"})
    with pytest.raises(FileExistsError, match=r"cannot be extended; other code .*code is \w+, not"):
        make(out, 40, method="sobol")
    monkeypatch.setattr(generate_module, "ray_map", None)
    make(out, 20, method="sobol")
    assert out.read_bytes() == before


def test_a_machine_of_a_cluster_with_other_code_is_named(table):
    theta = draw(Design(2), SPACE)
    made_by = maker(LIBRARIES, MODULES)
    assert len(compute(theta, model=MODEL, table=table, made_by=made_by)[0]["n_g"]) == 2
    message = rf"{socket.gethostname()} would compute .*code is \w+, not other.* install"
    other = made_by | {"code": "other"}
    with pytest.raises(ValueError, match=message):
        compute(theta, model=MODEL, table=table, made_by=other)
    box = TableBox.of(SPACE)
    with pytest.raises(ValueError, match=message):
        run_node(box.points()[0], box=box, made_by=other)


def test_command_line_knows_any_occupation_by_its_name(ray, table, tmp_path):
    out = tmp_path / "labels.h5"
    ranges = {"log10Mmin": Range(12.0, 13.0), "alpha": Range(1.0, 1.0)}
    options = [f"--space.{n}.{end}={getattr(r, end)}" for n, r in ranges.items()
               for end in ("low", "high")]  # fmt: skip
    main([*command_line(out, 6, "--space.occupation=zheng07", *options)[3:]])
    background = {name: SPACE[name] for name in BACKGROUND}
    space = Space(**background, **ranges, occupation="zheng07")
    spectra = Spectra.read(out)
    assert Space.from_dict(spectra.metadata["space"]) == space
    np.testing.assert_array_equal(spectra.theta, draw(Design(6), space))
    for name, expected in HaloModel(MODEL, table, "zheng07")(spectra.theta).items():
        np.testing.assert_allclose(spectra[name], expected, rtol=ROUNDING)
    with h5py.File(out) as file:
        assert file["theta"].attrs["names"].astype(str).tolist() == list(space.names)
        assert file["theta"].attrs["units"].astype(str).tolist() == list(space.units.values())


def test_a_place_where_nothing_can_be_written_is_known_before_anything_is_computed(monkeypatch):
    monkeypatch.setattr(generate_module, "ray_session", None)
    with pytest.raises(OSError, match="/proc"):
        make(Path("/proc/labels.h5"), 20)


def test_a_second_command_with_the_same_out_is_refused_and_touches_nothing(table, tmp_path):
    out = tmp_path / "labels.h5"
    living = tmp_path / ".labels.h5.0123456789abcdef.partial"
    with exclusive(out):
        living.write_bytes(b"half a label file")
        with pytest.raises(BusyError, match=f"{out} is being written by process {os.getpid()} on"):
            make(out, 20)
        assert living.exists()
    make(out, 20)
    assert list(tmp_path.iterdir()) == [out]  # and what the dead one left is gone


@pytest.mark.slow
def test_failed_points_are_recorded_by_index_and_have_no_row(table, tmp_path, capsys):
    out = make(tmp_path / "labels.h5", 2 * SHARD, space=NO_GALAXIES)
    spectra, theta = Spectra.read(out), draw(Design(2 * SHARD), NO_GALAXIES)
    assert 0 < len(spectra.failed) < 2 * SHARD
    assert any(index >= SHARD for index in spectra.failed)
    kept = np.setdiff1d(np.arange(2 * SHARD), list(spectra.failed))
    np.testing.assert_array_equal(spectra.theta, theta[kept])
    for array in spectra.arrays.values():
        assert len(array) == len(kept)
        assert np.isfinite(array).all()
    sigma_8 = theta[:, SPACE.names.index("sigma_8")]
    assert sigma_8[list(spectra.failed)].max() < sigma_8[kept].min()  # the right ones failed
    # n_g is 0, or so small that its square is
    reasons = ("ValueError: no galaxies", "gg_1h is not finite")
    assert all(why.startswith(reasons) for why in spectra.failed.values())
    assert f"{len(spectra.failed)} points failed, the first" in capsys.readouterr().out


def test_no_label_at_all_is_an_error_with_the_reason(table, tmp_path):
    space = replace(NO_GALAXIES, sigma_8=Range(0.1, 0.11))
    with pytest.raises(ValueError, match="not one of 20 points could be computed: (ValueE|gg_1h)"):
        make(tmp_path / "labels.h5", 20, space=space)
    assert list(tmp_path.iterdir()) == []  # nothing that stands in the way of another request
    make(tmp_path / "labels.h5", 20)


def test_not_finite_is_a_failure_named_by_the_spectrum(monkeypatch):
    class Broken:
        def __init__(self, *_):
            self.k = MODEL.k.values()

        def __call__(self, theta):
            values = np.tile(theta[:, :1], 4)
            return {"gg_1h": np.where(values == 3, np.nan, values), "n_g": 1 / (theta[:, 0] - 5)}

    monkeypatch.setattr("datagen.compute.HaloModel", Broken)
    theta = np.tile(np.arange(8.0)[:, None], len(SPACE.names))
    with np.errstate(divide="ignore"):
        rows, failed = compute(theta, model=MODEL, table=None)
    assert failed == {3: "gg_1h is not finite", 5: "n_g is not finite"}
    np.testing.assert_array_equal(rows["gg_1h"][:, 0], [0, 1, 2, 4, 6, 7])


@pytest.mark.parametrize("suffix", [".h5", ".csv"])
def test_points_of_a_parameter_file_get_the_labels_of_the_design(tmp_path, four_shards, suffix):
    parameters = tmp_path / f"points{suffix}"
    Points.of(Design(4 * SHARD), SPACE).write(parameters)
    out = generate(tmp_path / "labels.h5", model=MODEL, parameters=parameters)
    assert out.read_bytes() == four_shards.read_bytes()


def test_own_points_are_labelled_in_a_space_that_holds_them(table, tmp_path):
    theta = draw(Design(5, seed=7), SPACE)
    own, out = tmp_path / "own.csv", tmp_path / "labels.h5"
    np.savetxt(own, theta, delimiter=",", header=",".join(SPACE.names), comments="", fmt="%.17g")
    generate(out, space=SPACE, model=MODEL, parameters=own)
    np.testing.assert_array_equal(Spectra.read(out).theta, theta)
    with pytest.raises(ValueError, match="design: the points come from .*own.csv"):
        generate(out, Design(5), SPACE, MODEL, parameters=own)
    small = replace(SPACE, beta=Range(0.1, 0.11))
    with pytest.raises(ValueError, match=r"own.csv: row 0: beta = .* is outside \[0.1, 0.11\]"):
        generate(out, space=small, model=MODEL, parameters=own)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--space.Om_c.low", "0.7"], "Om_c: range [0.7, 0.6] is reversed"),
        (["--space.sigma.low", "0"], "sigma: range [0, 1] leaves [0.001, 5]"),
        (["--space.h.high", ".nan"], "h: range [0.64, nan] must be finite"),
        (["--space.h.high", "2"], "h: range [0.64, 2] leaves [0.3, 1.2]"),
        (["--model.mass_function", "Shet99"], "mass_function = 'Shet99' must be one of "),
        (["--model.mass_def", "200c"], "'Sheth99' has no fit for mass_def = '200c'"),
        (["--model.halo_bias", "Tinker10"], "'Tinker10' does not go with mass_function"),
        (["--space.z.low", "-0.1"], "z: range [-0.1, 0] leaves [0, 10]"),
        (["--space.w0.low", "-0.1", "--space.w0.high", "0"], "w0 + wa is at least -0.1 in the"),
        (["--space.Om_k.low", "0"], "space.Om_k"),
        (["--model.z", "0.5"], "model.z"),
        (["--design.pionts", "5"], "design.pionts"),
    ],
)
def test_mistakes_end_with_status_2_and_their_name_and_no_file(
    tmp_path, capsys, arguments, message
):
    with pytest.raises(SystemExit, match="2"):
        main(["--out", str(tmp_path / "x.h5"), *arguments])
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_cluster_that_there_is_not_ends_with_status_2_and_no_file(tmp_path):
    """In a process of its own, which has no Ray yet."""
    run = start([sys.executable, "-m", "datagen.generate", "--out", str(tmp_path / "x.h5"),
                 "--ray.address", "127.0.0.1:1"])  # fmt: skip
    error = run.communicate()[1]
    assert run.returncode == 2
    assert "no Ray cluster answers at '127.0.0.1:1'" in error
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


def test_haloes_beyond_the_fit_s_densities_are_refused_before_anything_is_computed(tmp_path):
    out = tmp_path / "labels.h5"
    fits = {"mass_function": "Tinker08", "halo_bias": "Tinker10"}
    model = replace(MODEL, mass_def="vir", **fits)
    with pytest.raises(ValueError, match="'Tinker08' is fitted .* mass_def = 'vir' has 17[89]"):
        generate(out, Design(4), replace(SPACE, z=Range(0.0, 3.0)), model)
    assert not list(tmp_path.iterdir())
