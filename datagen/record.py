"""Provenance of files: hash of the code, versions, commit, and hashes of content."""

import ast
import hashlib
import json
import subprocess
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "PACKAGES",
    "ContentHash",
    "code_hash",
    "combined_hash",
    "maker",
    "provenance",
    "source_files",
]

PACKAGES = ("benchmarks", "datagen", "emulator", "export", "hodspectra", "tuning")  # ours
_ROOT = Path(__file__).resolve().parent.parent
_LIBRARIES = (
    "hodspectra", "numpy", "scipy", "pyccl", "camb", "torch", "lightning", "ray", "optuna",
    "onnx", "onnxruntime",
)  # fmt: skip


@cache
def commit() -> str:
    """Return the commit of the source tree, with ``-dirty`` if edited; ``unknown`` without git."""

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(_ROOT), *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")) != _ROOT:
            return "unknown"  # installed inside another repository
        return git("rev-parse", "HEAD") + ("-dirty" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


@cache
def code_hash(*modules: str, imports: bool = True) -> str:
    """SHA-256 of the source of modules and of all modules of `PACKAGES` that they import.

    Unlike a commit, it distinguishes edited trees and installed packages.

    Args:
        modules: Dotted names of the modules; by default all modules of `PACKAGES`.
        imports: Whether to include imported modules, also those imported inside of functions.
    """
    paths = (
        source_files(modules, imports)
        if modules
        else [path for package in PACKAGES for path in (_ROOT / package).rglob("*.py")]
    )
    return combined_hash(
        {
            path.relative_to(_ROOT).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in paths
        }
    )


def source_files(modules: Iterable[str], imports: bool) -> set[Path]:
    """Source files of modules and, optionally, of the modules of `PACKAGES` that they import."""
    todo, found = list(modules), set()
    while todo:
        name = todo.pop()
        stem = _ROOT.joinpath(*name.split("."))
        paths = [p for p in (stem.with_suffix(".py"), stem / "__init__.py") if p.is_file()]
        if name.split(".")[0] not in PACKAGES or not paths or paths[0] in found:
            continue
        found.add(paths[0])
        for node in ast.walk(ast.parse(paths[0].read_bytes())) if imports else ():
            if isinstance(node, ast.Import):
                todo += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                todo += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found


def provenance(
    libraries: tuple[str, ...] = _LIBRARIES, modules: tuple[str, ...] = ()
) -> dict[str, str]:
    """Return commit, hash of the code, and versions of the libraries that numbers depend on.

    Args:
        libraries: Names of the libraries.
        modules: Modules that compute the numbers, see `code_hash`.
    """
    return {"commit": commit(), **maker(libraries, modules)}


def maker(libraries: tuple[str, ...] = _LIBRARIES, modules: tuple[str, ...] = ()) -> dict[str, str]:
    """Return hash of the code and versions of libraries: `provenance` without the commit."""
    record = {"code": code_hash(*modules)}
    for library in libraries:
        try:
            record[library] = version(library)
        except PackageNotFoundError:
            record[library] = "not installed"
    return record


class ContentHash:
    """SHA-256 of type, shape and bytes of an array that is given in blocks of rows.

    Args:
        shape: Shape of the whole array.
        dtype: Data type of the array.
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._digest = hashlib.sha256(f"{dtype.str}{shape}".encode())

    def update(self, rows: NDArray[Any]) -> None:
        """Add the next rows."""
        self._digest.update(np.ascontiguousarray(rows).data)

    def hexdigest(self) -> str:
        """Return the hash of all rows so far."""
        return self._digest.hexdigest()

    @classmethod
    def of(cls, array: NDArray[Any]) -> str:
        """Return the hash of an array in memory."""
        content = cls(array.shape, array.dtype)
        content.update(array)
        return content.hexdigest()


def combined_hash(parts: dict[str, str]) -> str:
    """SHA-256 of named hashes (or texts), sorted by name."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
