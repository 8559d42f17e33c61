"""Shards: finished pieces of a long computation, one file each, so that a kill costs little."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.files import atomic
from datagen.record import combined_hash

__all__ = ["Shard", "Shards", "differences"]

Shard = dict[str, NDArray[np.float64]]


def differences(have: dict[str, Any], want: dict[str, Any], prefix: str = "") -> list[str]:
    """What differs between two requests, as ``design.points is 1000, not 2000``."""
    found = []
    for name in sorted({*have, *want}):
        a, b, dotted = have.get(name), want.get(name), f"{prefix}{name}"
        if isinstance(a, dict) and isinstance(b, dict):
            found += differences(a, b, f"{dotted}.")
        elif a != b:
            found.append(f"{dotted} is {a}, not {b}")
    return found


class Shards:
    """A folder of shards that all belong to one request.

    Args:
        folder: Where they lie; made if it is not there.
        request: All that decides their content, as JSON takes it.

    Raises:
        ValueError: The folder holds shards of another request.
    """

    def __init__(self, folder: Path, request: dict[str, Any]) -> None:
        self.folder = folder
        self._key = combined_hash({"request": json.dumps(request, sort_keys=True)})
        path = folder / "request.json"
        if not path.exists():
            with atomic(path) as partial:
                partial.write_text(json.dumps(request, indent=1))
        elif differ := differences(json.loads(path.read_text()), request):
            raise ValueError(
                f"{folder} holds shards of another request ({'; '.join(differ)}); repeat that "
                f"request to finish it, or delete the folder to start anew"
            )

    def write(self, number: int, shard: Shard, failed: dict[int, str]) -> None:
        """Keep a shard and the reason for each of its rows that could not be computed."""
        content: dict[str, Any] = {
            **shard,
            "key": f"{self._key}/{number}",
            "failed": json.dumps(failed),
        }
        with atomic(self._path(number)) as partial, partial.open("wb") as file:
            np.savez(file, **content)

    def read(self, number: int) -> tuple[Shard, dict[int, str]] | None:
        """What was written, or None if it must be computed (again)."""
        try:
            with np.load(self._path(number)) as file:
                if str(file["key"]) != f"{self._key}/{number}":
                    return None
                failed = {int(row): why for row, why in json.loads(str(file["failed"])).items()}
                return {n: file[n] for n in file.files if n not in ("key", "failed")}, failed
        except Exception:  # absent or damaged in whatever way (every array has a checksum)
            return None

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:09d}.npz"

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @staticmethod
    def remove_leftover(folder: Path, request: dict[str, Any]) -> None:
        """Delete the folder of a request that was finished, if a kill left it behind."""
        path = folder / "request.json"
        if not path.exists() or json.loads(path.read_text()) == request:
            shutil.rmtree(folder, ignore_errors=True)
