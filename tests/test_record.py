"""Code is known by its content, whatever git or the version say."""

import configparser
import shutil
import subprocess
import sys

import pytest
from support.coarse import ROOT

from datagen import record
from datagen.record import PACKAGES, code_hash, maker, provenance

LABELS, TRAINING = ("datagen.generate",), ("emulator.train",)
CODE = f"""
from datagen.record import code_hash
for modules in {(LABELS, TRAINING, ())}:
    print(code_hash(*modules))
"""


@pytest.fixture
def copy(tmp_path):
    """The packages, copied, as an installation is: no git, no version of its own."""
    for name in PACKAGES:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("*.onnx"))
    return tmp_path


def hashes_in(folder) -> list[str]:
    """Hashes of the code of labels, of a training, and of all."""
    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


@pytest.fixture(scope="module")
def hashes() -> list[str]:
    """Those of the code here."""
    return [code_hash(*LABELS), code_hash(*TRAINING), code_hash()]


def test_a_copy_is_the_same_code(copy, hashes):
    assert hashes_in(copy) == hashes
    assert len(set(hashes)) == 3


@pytest.mark.parametrize(
    ("name", "labels", "training"),
    [
        ("datagen/halomodel.py", True, True),
        ("datagen/growth.py", True, True),  # imported by what it imports
        ("datagen/figures.py", False, True),
        ("datagen/analyse.py", False, False),
        ("emulator/network.py", False, True),
    ],
)
def test_an_edit_is_seen_by_what_imports_it(copy, hashes, name, labels, training):
    with (copy / name).open("a") as file:
        file.write("\nEDITED = 1\n")
    changed = [one != before for one, before in zip(hashes_in(copy), hashes, strict=True)]
    assert changed == [labels, training, True]


def test_modules_are_taken_alone_where_that_is_asked_for():
    alone = code_hash("datagen.ccl", "datagen.linear_power", imports=False)
    assert alone != code_hash("datagen.ccl", "datagen.linear_power")
    assert {path.name for path in record.source_files(["datagen.ccl"], imports=False)} == {"ccl.py"}


def test_our_packages_are_all_known():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    packages = setup["options"]["packages"].split()
    assert set(PACKAGES) == {name for name in packages if "." not in name}


def test_provenance_tells_commit_code_and_libraries():
    told = provenance(("numpy", "no such library"), LABELS)
    assert set(told) == {"commit", "code", "numpy", "no such library"}
    assert told["code"] == code_hash(*LABELS)
    assert told["no such library"] == "not installed"
    assert maker(("numpy",), LABELS) == {name: told[name] for name in ("code", "numpy")}
