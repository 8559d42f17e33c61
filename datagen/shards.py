"""Shards: finished parts of a long computation, one file each, so that it can be resumed."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.fields import exactly
from datagen.files import atomic
from datagen.header import read_arrays, write_arrays
from datagen.record import combined_hash

__all__ = ["Shard", "Shards", "differences", "remove_shards"]

SCHEMA = "hodspectra-shard-1"
_REQUEST, _SHARDS = "request.json", "[0-9]*.npz"

Shard = dict[str, NDArray[np.float64]]


def differences(have: dict[str, Any], want: dict[str, Any], prefix: str = "") -> list[str]:
    """Return the differences of two requests, such as ``design.points is 1000, not 2000``."""
    found = []
    for name in sorted({*have, *want}):
        a, b, dotted = have.get(name), want.get(name), f"{prefix}{name}"
        if isinstance(a, dict) and isinstance(b, dict):
            found += differences(a, b, f"{dotted}.")
        elif a != b:
            found.append(f"{dotted} is {a}, not {b}")
    return found


class Shards:
    """Folder of shards that belong to one request.

    Args:
        folder: Folder of the shards, created with the first shard.
        request: Everything that determines the content of the shards, as JSON types.
        discard: Whether to discard shards of another request.

    Raises:
        ValueError: The folder contains shards of another request.
    """

    def __init__(self, folder: Path, request: dict[str, Any], discard: bool = False) -> None:
        self.folder = folder
        self._request = request
        self._key = _key(request)
        path = folder / _REQUEST
        if path.exists() and (have := _request(path)) != request:
            if self._strangers() and not discard:
                what = "; ".join(differences(have, request)) if have else f"{_REQUEST} is damaged"
                raise ValueError(
                    f"{folder} holds shards of another request ({what}); repeat that request to "
                    f"finish it, or pass --overwrite true to discard them"
                )
            path.unlink()

    def _strangers(self) -> bool:
        """Whether there are intact shards of another request; damaged ones are ignored."""
        there = [read_arrays(path, SCHEMA) for path in self.folder.glob(_SHARDS)]
        return any(one and not str(one["key"]).startswith(f"{self._key}/") for one in there)

    def write(self, number: int, shard: Shard, failed: dict[int, str]) -> None:
        """Write a shard.

        Args:
            number: Number of the shard.
            shard: Arrays by name.
            failed: Reasons why rows could not be computed, by row.
        """
        path = self.folder / _REQUEST
        if not path.exists():
            with atomic(path) as partial:
                partial.write_text(
                    json.dumps({"request": self._request, "sha256": self._key}, indent=1)
                )
        content: dict[str, Any] = {
            **shard,
            "key": f"{self._key}/{number}",
            "failed": json.dumps(failed),
        }
        write_arrays(self._path(number), SCHEMA, content)

    def read(self, number: int) -> tuple[Shard, dict[int, str]] | None:
        """Read a shard and its failed rows; None if missing, damaged or of another request."""
        content = read_arrays(self._path(number), SCHEMA)
        if content is None or str(content.pop("key")) != f"{self._key}/{number}":
            return None
        failed = json.loads(str(content.pop("failed")))
        return content, {int(row): why for row, why in failed.items()}

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:09d}.npz"

    def remove(self) -> None:
        """Delete the shards, and their folder if nothing else is in it."""
        remove_shards(self.folder)


def remove_shards(folder: Path, request: dict[str, Any] | None = None) -> None:
    """Delete the shards of a folder, and the folder if nothing else is in it.

    Args:
        folder: Folder of the shards; it need not exist.
        request: If given, delete shards of this request only.
    """
    path = folder / _REQUEST
    if request is not None and path.exists() and _request(path) != request:
        return
    with suppress(OSError):  # leftovers do no harm
        for shard in [*folder.glob(_SHARDS), *folder.glob(".*.partial"), path]:
            shard.unlink(missing_ok=True)
        folder.rmdir()


def _key(request: dict[str, Any]) -> str:
    return combined_hash({"request": json.dumps(request, sort_keys=True)})


def _request(path: Path) -> dict[str, Any] | None:
    """The request in a request file; None if the file was altered."""
    try:
        content = json.loads(path.read_text())
        request: dict[str, Any] = exactly(content, ("request", "sha256"), str(path))["request"]
        return request if _key(request) == content["sha256"] else None
    except (ValueError, TypeError, RecursionError):
        return None
