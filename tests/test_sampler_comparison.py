"""The comparison of samplers: what it writes is what lies in the run directories."""

import shutil
from dataclasses import replace

import pytest
from support.searches import BRIEF, SPACE

from benchmarks.studies.sampler_comparison import STUDY, render, sampler_comparison
from datagen.parallel import RayConfig
from datagen.store import Spectra
from tuning.journal import Journal


def test_table_tells_median_and_spread_over_seeds():
    curves = {
        "none": [[0.02], [0.04], [0.03]],
        "random": [[0.03] * 8, [0.02] * 8, [0.01] * 8],
        "tpe": [[0.01] * 7 + [0.005]] * 3,
    }
    winner = {"point": {"units": 8}, "report": {"p95": 0.005}}
    text = render({"best": curves, "trials": 8, "objective": "p95", "winner": winner})
    lines = text.splitlines()
    assert lines[0] == "| best 95 % error [%], validation, after | 1 trial | 6 trials | 8 trials |"
    assert lines[2] == "| no search, the default | 3 (2 to 4) |  |  |"
    assert lines[3] == "| random | 2 (1 to 3) | 2 (1 to 3) | 2 (1 to 3) |"
    assert lines[4].endswith("| 0.5 (0.5 to 0.5) |")
    assert lines[6] == "best of all: 95 % error 0.5 %, units 8"


@pytest.mark.slow
def test_equal_trials_for_each_sampler_and_seed(ray, label_file, tmp_path):
    result = STUDY.run(
        tmp_path, data=label_file, train=BRIEF, space=SPACE, trials=2, seeds=(1, 2),
        ray=RayConfig(cpus=2),
    )  # fmt: skip
    for sampler in ("random", "tpe"):
        for seed, curve in zip((1, 2), result["best"][sampler], strict=True):
            trials = Journal(tmp_path / f"{sampler}-{seed}").trials()
            assert [trial.state for trial in trials] == ["finished"] * 2
            assert curve[-1] == min(trial.report["p95"] for trial in trials)
            assert curve == sorted(curve, reverse=True)
    assert (tmp_path / "sampler_comparison.png").exists()
    assert len(result["best"]["none"]) == 2


def test_searches_with_other_labels_or_settings_are_not_mixed(
    ray, label_file, tmp_path, monkeypatch
):
    def one_trial(task, journal, *_, **__):
        trial = journal.propose({"lr": 1.0})
        journal.end(trial.name, "finished", {"p95": 1.0}, 1.0, "")

    monkeypatch.setattr("benchmarks.studies.sampler_comparison.run_study", one_trial)
    out, options = tmp_path / "out", {"trials": 1, "seeds": (1,), "samplers": ("random",)}
    sampler_comparison(label_file, out, BRIEF, SPACE, **options)
    other = Spectra.read(label_file)
    other.theta[0, 0] *= 1 + 1e-15
    other.write(tmp_path / "other.h5")
    with pytest.raises(ValueError, match="holds a run with other settings .labels is "):
        sampler_comparison(tmp_path / "other.h5", out, BRIEF, SPACE, **options)
    with pytest.raises(ValueError, match="holds a run with other settings .train.seed is 1, not 2"):
        sampler_comparison(label_file, out, replace(BRIEF, seed=2), SPACE, **options)
    shutil.copy(label_file, tmp_path / "copy.h5")  # the same labels
    sampler_comparison(tmp_path / "copy.h5", out, BRIEF, SPACE, **options)


@pytest.mark.parametrize("nothing", [{"trials": 0}, {"samplers": ()}, {"seeds": ()}])
def test_a_comparison_of_nothing_is_refused(tmp_path, nothing):
    with pytest.raises(ValueError, match="must each be one at least"):
        sampler_comparison(tmp_path / "none.h5", tmp_path / "out", **nothing)
