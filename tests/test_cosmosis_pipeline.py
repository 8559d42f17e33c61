"""The module in pipelines of the real CosmoSIS, where it is installed (tried with 3.26)."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import hodspectra
from export.runtime import load
from export.statistics import Wp

pytest.importorskip("cosmosis")

ROOT = Path(__file__).resolve().parent.parent
ROUNDING = 1e-5
H, Z, R = 0.7, np.linspace(0.2, 1.0, 3), [0.5, 3.0, 20.0]
HOD = {"log10Mmin": 12.1, "sigma_logM": 0.3, "log10M0": 11.5, "log10M1": 13.3, "alpha": 1.0}
POINT = {"Om_c": 0.25, "Om_b": 0.05, "h": H, "n_s": 0.96, "sigma_8": 0.8} | HOD

INI = f"""
[runtime]
sampler = {{sampler}}
[test]
save_dir = out
[metropolis]
samples = 20
nsteps = 20
[output]
filename = chain.txt
[pipeline]
modules = densities hodspectra clustering
values = values.ini
likelihoods = clustering
[densities]
file = densities.py
[hodspectra]
file = {Path(hodspectra.__path__[0]) / "cosmosis" / "hodspectra_module.py"}
emulator = tinker10
occupation = zheng07
outputs = gg_total n_g
z_min = 0.2
z_max = 1
n_z = 3
k_max = 10
n_k = 40
w_p = 0.5 3 20
pi_max = 60
[clustering]
file = clustering.py
"""
VALUES = """
[cosmological_parameters]
omega_m = 0.3
omega_b = 0.05
h0 = 0.7
n_s = 0.96
sigma_8 = {sigma_8}
w = -1.0
[hod_parameters]
log10mmin = 12.1
sigma_logm = 0.3
log10m0 = 11.5
log10m1 = 13.3
alpha = 1.0
"""
# as `consistency` of the standard library does, which is not in the package
DENSITIES = """
from cosmosis.datablock import names

def setup(options):
    return {}

def execute(block, config):
    get = lambda name: block[names.cosmological_parameters, name]
    derived = {
        "omega_c": get("omega_m") - get("omega_b"), "ommh2": get("omega_m") * get("h0") ** 2,
        "ombh2": get("omega_b") * get("h0") ** 2, "omega_lambda": 1 - get("omega_m"),
        "omega_k": 0.0, "omega_nu": 0.0, "hubble": 100 * get("h0"),
    }
    for name, value in derived.items():
        block[names.cosmological_parameters, name] = value
    return 0
"""
CLUSTERING = """
import numpy as np

def setup(options):
    return {}

def execute(block, config):
    z, r_p, w_p = block.get_grid("w_p", "z", "r_p", "w_p")
    assert w_p.shape == (3, 3)
    block["likelihoods", "clustering_like"] = float(-0.5 * np.square(w_p[1] / w_p[1, 0]).sum())
    return 0
"""


@pytest.fixture
def cosmosis(tmp_path):
    """Runs a pipeline in a folder; what it printed."""

    def run(sampler, sigma_8):
        files = {
            "params.ini": INI.format(sampler=sampler),
            "values.ini": VALUES.format(sigma_8=sigma_8),
            "densities.py": DENSITIES,
            "clustering.py": CLUSTERING,
        }
        for name, text in files.items():
            (tmp_path / name).write_text(text)
        path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
        done = subprocess.run(
            [sys.executable, "-c", "from cosmosis.main import main; main()", "params.ini"],
            cwd=tmp_path, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        text = done.stdout + done.stderr
        assert done.returncode == 0, text
        return text

    return run


def test_a_pipeline_has_the_spectra_of_the_emulator(cosmosis, tmp_path):
    cosmosis("test", "0.8")
    out = tmp_path / "out"
    emulator = load("tinker10", occupation="zheng07")
    k_h = np.loadtxt(out / "galaxy_power/k_h.txt")
    np.testing.assert_allclose(k_h, np.geomspace(1e-4, 10, 40))
    w_p = Wp(R, pi_max=60, lengths="Mpc/h")
    expected = emulator(POINT | {"z": Z}, ["gg_total", "n_g", w_p], k_h * H, extrapolate=True)
    for file, values in (
        ("galaxy_power/p_k", expected["gg_total"] * H**3),
        ("hod_numbers/n_g", expected["n_g"] / H**3),
        ("w_p/w_p", expected["w_p"]),
        ("w_p/z", Z),
        ("w_p/r_p", R),
    ):
        found = np.loadtxt(out / f"{file}.txt")
        np.testing.assert_allclose(found, values, rtol=ROUNDING, err_msg=file)
    assert "(Mpc/h)^3" in (out / "galaxy_power/p_k.txt").read_text()


def test_a_point_outside_of_the_ranges_has_no_likelihood(cosmosis):
    text = cosmosis("test", "1.3")
    assert "hodspectra: row 0: sigma_8 = 1.3 is outside" in text
    assert "-inf" in text


def test_a_sampler_samples(cosmosis, tmp_path):
    cosmosis("metropolis", "0.6 0.8 1.0")
    chain = np.loadtxt(tmp_path / "chain.txt")
    assert len(chain) == 20
    assert np.isfinite(chain).all()
    assert len(np.unique(chain[:, 0])) > 1
    assert (np.abs(chain[:, 0] - 0.8) <= 0.2).all()
