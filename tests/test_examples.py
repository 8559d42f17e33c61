"""The example in another language gives the numbers that Python gives."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from export.runtime import load
from export.shipped import shipped

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "predict.js"
ROUNDING = 1e-5


def test_javascript_gives_the_same_spectrum():
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    require = ["require('onnxruntime-node')"]  # resolved as from here, or through NODE_PATH
    if subprocess.run([node, "-e", *require], capture_output=True, check=False).returncode:
        pytest.skip("npm package onnxruntime-node is not installed")
    done = subprocess.run(
        [node, EXAMPLE, shipped()["standard"]], capture_output=True, text=True, check=True
    )
    theirs = json.loads(done.stdout)
    text = re.search(r"const point = {(.*?)};", EXAMPLE.read_text(), re.S)[1]
    point = {name: float(value) for name, value in re.findall(r"(\w+): ([\d.e]+)", text)}
    ours = load("standard")(point)
    np.testing.assert_allclose(theirs["gg_total"], ours["gg_total"], rtol=ROUNDING)
    assert theirs["n_g"] == pytest.approx(float(ours["n_g"]), rel=ROUNDING)
