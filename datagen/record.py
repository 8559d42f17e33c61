"""Where a file came from: code versions, commit, and hashes of content."""

import hashlib
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["content_hash", "provenance"]

_LIBRARIES = (
    "hodspectra", "numpy", "scipy", "pyccl", "camb", "torch", "lightning", "ray", "optuna",
    "onnx", "onnxruntime",
)  # fmt: skip


def commit() -> str:
    """Commit of the source tree, ``-dirty`` if it was edited, ``unknown`` outside of git."""
    root = Path(__file__).resolve().parent.parent

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")) != root:
            return "unknown"  # installed inside somebody else's repository
        return git("rev-parse", "HEAD") + ("-dirty" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def provenance() -> dict[str, str]:
    """Commit of this code and versions of the libraries that numbers depend on."""
    record = {"commit": commit()}
    for library in _LIBRARIES:
        try:
            record[library] = version(library)
        except PackageNotFoundError:
            record[library] = "not installed"
    return record


def content_hash(arrays: dict[str, NDArray[np.float64]]) -> str:
    """SHA-256 over names, shapes and bytes of arrays, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}{array.dtype.str}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
