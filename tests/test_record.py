"""Code is known by its content, whatever git or the version say."""

import configparser
import shutil
import subprocess
import sys

import pytest
from support.coarse import ROOT

from datagen import record
from datagen.record import PACKAGES, code_hash, maker, provenance

CODE = "from datagen.record import code_hash; print(code_hash(*{modules!r}))"


@pytest.fixture
def copy(tmp_path):
    """The packages, copied, as an installation is: no git, no version of its own."""
    for name in PACKAGES:
        shutil.copytree(ROOT / name, tmp_path / name)
    return tmp_path


def hash_in(folder, *modules):
    code = CODE.format(modules=modules)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


LABELS = ("datagen.generate",)


def test_a_copy_is_the_same_code(copy):
    assert hash_in(copy, *LABELS) == code_hash(*LABELS)


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
def test_an_edit_is_seen_by_what_imports_it(copy, name, labels, training):
    before = {module: hash_in(copy, module) for module in ("datagen.generate", "emulator.train")}
    with (copy / name).open("a") as file:
        file.write("\nEDITED = 1\n")
    assert (hash_in(copy, "datagen.generate") != before["datagen.generate"]) == labels
    assert (hash_in(copy, "emulator.train") != before["emulator.train"]) == training
    assert hash_in(copy) != code_hash()


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
