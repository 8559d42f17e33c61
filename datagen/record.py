"""Where a file came from: code versions, commit, and hashes of content."""

import hashlib
import json
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ContentHash", "combined_hash", "provenance"]

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


def provenance(libraries: tuple[str, ...] = _LIBRARIES) -> dict[str, str]:
    """Commit of this code and versions of the libraries that numbers depend on."""
    record = {"commit": commit()}
    for library in libraries:
        try:
            record[library] = version(library)
        except PackageNotFoundError:
            record[library] = "not installed"
    return record


class ContentHash:
    """SHA-256 over type, shape and bytes of an array that comes in blocks of rows.

    Args:
        shape: Shape of the whole array.
        dtype: Its type.
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._digest = hashlib.sha256(f"{dtype.str}{shape}".encode())

    def update(self, rows: NDArray[Any]) -> None:
        """Add the next rows."""
        self._digest.update(np.ascontiguousarray(rows).data)

    def hexdigest(self) -> str:
        """The hash of all rows so far."""
        return self._digest.hexdigest()

    @classmethod
    def of(cls, array: NDArray[Any]) -> str:
        """The hash of an array that is in memory."""
        content = cls(array.shape, array.dtype)
        content.update(array)
        return content.hexdigest()


def combined_hash(parts: dict[str, str]) -> str:
    """SHA-256 over named hashes (or texts), in the order of their names."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
