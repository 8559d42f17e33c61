"""The comparison of samplers: what it writes is what lies in the run directories."""

import pytest
from searches import BRIEF, SPACE

from benchmarks.search_evidence import render, search_evidence
from datagen.parallel import RayConfig
from tuning.journal import Journal


def test_table_tells_median_and_spread_over_seeds():
    curves = {"random": [[3.0] * 8, [2.0] * 8, [1.0] * 8], "tpe": [[1.0] * 7 + [0.5]] * 3}
    lines = render({"best": curves}).splitlines()
    assert lines[0] == "| best validation loss after | 6 trials | 8 trials |"
    cell = "2.00e+00 (1.00e+00 to 3.00e+00)"
    assert lines[2] == f"| random | {cell} | {cell} |"
    assert lines[3].endswith("| 5.00e-01 (5.00e-01 to 5.00e-01) |")


@pytest.mark.slow
def test_equal_trials_for_each_sampler_and_seed(ray, label_file, tmp_path):
    result = search_evidence(
        label_file, tmp_path, BRIEF, SPACE, trials=2, seeds=(1, 2), ray=RayConfig(cpus=2)
    )
    for sampler in ("random", "tpe"):
        for seed, curve in zip((1, 2), result["best"][sampler], strict=True):
            trials = Journal(tmp_path / f"{sampler}-{seed}").trials()
            assert [trial.state for trial in trials] == ["finished"] * 2
            assert curve[-1] == min(trial.report["val_loss"] for trial in trials)
            assert curve == sorted(curve, reverse=True)
    assert (tmp_path / "evidence.png").exists()
