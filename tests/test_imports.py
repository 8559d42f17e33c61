"""Data flows one way, imports are light, and ``__all__`` is what is public."""

import ast
import importlib
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ALLOWED = {
    "datagen": set(),
    "emulator": {"datagen"},
    "tuning": {"datagen", "emulator"},
    "export": {"datagen", "emulator"},
    "benchmarks": {"datagen", "emulator", "tuning", "export"},
    "hodspectra": {"datagen", "export"},  # for type checkers alone; see below
}
WITHIN_BENCHMARKS = {
    "codes": set(),
    "evaluate": {"codes"},
    "posterior": {"codes"},
    "studies": {"codes", "evaluate", "posterior"},
}
GROUND = "hodspectra.ending"  # needs nothing, and is what every command ends with
FILES = [path for package in ALLOWED for path in sorted((ROOT / package).glob("**/*.py"))]
IDS = [str(path.relative_to(ROOT)) for path in FILES]
HEAVY = {  # third party -> the only library file that may import it; hosts of adapters have theirs
    "pyccl": {
        "datagen/ccl.py",
        "export/adapters/for_pyccl.py",
        "export/adapters/pyccl_physics.py",
        "export/adapters/pyccl_projections.py",
    },
    "onnxruntime": {"export/sessions.py"},
    "cobaya": {
        "export/adapters/cobaya_likelihood.py",
        "export/adapters/cobaya_setup.py",
        "export/adapters/for_cobaya.py",
    },
    "cosmosis": {"export/adapters/for_cosmosis.py"},
}


@cache
def imported(path: Path) -> set[str]:
    """Dotted names of all modules that a file imports, wherever in it, and of what it takes."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_nothing_imports_backwards(path: Path):
    package = path.relative_to(ROOT).parts[0]
    names = {name for name in imported(path) if not f"{name}.".startswith(f"{GROUND}.")}
    ours = {name.split(".")[0] for name in names} & set(ALLOWED)
    assert ours <= ALLOWED[package] | {package}


def test_every_part_of_the_benchmarks_has_its_rule():
    parts = {path.parent.name for path in (ROOT / "benchmarks").glob("*/__init__.py")}
    assert parts == set(WITHIN_BENCHMARKS)


@pytest.mark.parametrize(
    "path", [p for p in FILES if "benchmarks" in p.parts], ids=lambda p: p.stem
)
def test_no_part_of_the_benchmarks_imports_another_that_rests_on_it(path: Path):
    part = path.relative_to(ROOT / "benchmarks").parts[0]
    theirs = {name.split(".")[1] for name in imported(path) if name.startswith("benchmarks.")}
    assert theirs & set(WITHIN_BENCHMARKS) <= WITHIN_BENCHMARKS.get(part, set()) | {part}


@pytest.mark.parametrize(("library", "files"), HEAVY.items())
def test_heavy_library_has_one_door(library: str, files: set[str]):
    users = {
        str(path.relative_to(ROOT))
        for path in FILES
        if library in {name.split(".")[0] for name in imported(path)}
        and path.relative_to(ROOT).parts[0] != "benchmarks"
    }
    assert users == files


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_all_names_what_there_is(path: Path):
    if path.name == "__init__.py" or path.name.startswith("test_"):
        return
    if path.stem.startswith("for_"):
        for host in {"pyccl", "cobaya", "cosmosis"} & set(path.stem.split("_")):
            pytest.importorskip(host)
    if path.parent.name == "cosmosis":
        pytest.importorskip("cosmosis")
    module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    assert sorted(module.__all__) == sorted(set(module.__all__))
    assert all(hasattr(module, name) for name in module.__all__)
    assert module.__doc__


def test_the_front_door_imports_nothing_before_it_is_asked_to():
    code = "import sys, hodspectra.cli; print(*{m.split('.')[0] for m in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    loaded = set(done.stdout.split()) - {"hodspectra"}
    assert not loaded & set(ALLOWED)
    assert "numpy" not in loaded


def test_runtime_needs_numpy_and_onnxruntime_alone():
    code = (
        "import sys, export.runtime; "
        "print(*{m.split('.')[0] for m in sys.modules} & "
        "{'torch', 'lightning', 'ray', 'pyccl', 'camb', 'scipy', 'h5py', 'onnx', 'matplotlib'})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.strip() == ""
