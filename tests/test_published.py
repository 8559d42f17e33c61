"""The published measures: a known error of P gives known numbers."""

import json
import math

import numpy as np
import pytest
from support.judged import labels_off_by

from benchmarks.studies.convergence import convergence
from benchmarks.studies.published import main, published, render
from benchmarks.studies.search_summary import search_summary
from datagen.store import Spectra

ROUNDING = 1e-3  # relative: P is float32, the error 1e-2


def test_a_known_error_gives_known_numbers(emulator, onnx_file, spectra, tmp_path, capsys):
    data = labels_off_by(emulator, spectra, tmp_path / "labels.h5", 1.01)
    onnx = onnx_file.rename(tmp_path / "some.onnx")
    out = tmp_path / "out"
    main(["--emulators", json.dumps({str(onnx): str(data)}), "--out", str(out)])
    result = json.loads((out / "published.json").read_text())
    errors = result["emulators"]["some"]["errors"]["gg"]
    assert errors["ln_P"] == pytest.approx(math.log(1.01), rel=ROUNDING)
    truth = Spectra.read(data)
    names = ("gg_1h", "gg_2h", "gg_total")
    deviations = np.array([np.log(truth[name]).std(axis=0) for name in names])
    assert errors["mse"] == pytest.approx(np.mean((math.log(1.01) / deviations) ** 2), rel=ROUNDING)
    assert errors["mae"] == pytest.approx(np.mean(math.log(1.01) / deviations), rel=ROUNDING)
    table = render(result)
    assert table in capsys.readouterr().out
    assert "| some | standard | log10 M | gg | 60 |" in table
    assert "Matryoshka" not in table  # it has not all spectra


def test_nothing_to_judge():
    with pytest.raises(ValueError, match="emulators is empty"):
        published({})
    with pytest.raises(ValueError, match="runs is empty"):
        search_summary([])
    for points in ({"quadrature_points": 0}, {"linear_power_points": 0}):
        with pytest.raises(ValueError, match="must be at least 1"):
            convergence(**points)
