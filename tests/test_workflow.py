"""The public workflow runs what .ci/run runs, with the oldest Python that is supported."""

import os
from configparser import ConfigParser
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
JOB = yaml.safe_load((ROOT / ".github/workflows/checks.yml").read_text())["jobs"]["checks"]


def test_it_runs_the_checks_of_every_change():
    steps = [step["run"] for step in JOB["steps"] if "run" in step]
    assert steps == [".ci/run"]
    assert os.access(ROOT / steps[0], os.X_OK)


def test_it_begins_with_the_oldest_python():
    package = ConfigParser()
    package.read(ROOT / "setup.cfg")
    oldest, newest = JOB["strategy"]["matrix"]["python"]
    assert package["options"]["python_requires"] == f">={oldest}"
    assert newest == "3.x"


def test_its_cache_follows_the_versions():
    (cached,) = (step["with"] for step in JOB["steps"] if "with" in step)
    files = cached["cache-dependency-path"].split()
    assert cached["cache"] == "pip"
    assert files
    assert all((ROOT / name).is_file() for name in files)
