"""The first block of our own files: what they are, and the SHA-256 of all that comes after it.

Damage is then seen before anything parses the file: libraries may crash, or loop for ever, on a
damaged one. HDF5 calls such a block a user block and skips it, and so do readers of zip archives.
"""

import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np

from datagen.files import atomic

__all__ = [
    "SIZE",
    "DamagedError",
    "HeaderError",
    "check_header",
    "check_replaceable",
    "kind_of",
    "read_arrays",
    "write_arrays",
    "write_header",
]

SIZE = 512  # bytes; the smallest user block of HDF5
# what a header begins with, or in a table the comment line
_KIND = re.compile(rb'(?:# \{"schema": ")?(hodspectra-[a-z]+-\d+)')
_OTHERS = {b"\x89HDF\r\n\x1a\n": "HDF5", b"PK\x03\x04": "a zip archive"}  # by their first bytes


class HeaderError(ValueError):
    """A file of another kind or version."""


class DamagedError(HeaderError):
    """A file of the right kind that is not as it was written."""


def write_header(path: Path, schema: str) -> None:
    """Fill the first block of a file, which was left free, once the rest of it is there.

    Args:
        path: The file.
        schema: What it is, ``hodspectra-KIND-NUMBER``.
    """
    header = _header(schema, _digest(path))
    with path.open("r+b") as file:
        file.write(header)


def check_header(path: Path, schema: str, what: str) -> None:
    """Read the whole file, a gigabyte a second, and check that it is as it was written.

    Args:
        path: The file.
        schema: What it must be.
        what: The same in words.

    Raises:
        HeaderError: It is something else, or of another version.
        DamagedError: It was altered.
        OSError: It cannot be read.
    """
    if not path.is_file() and path.exists():
        raise HeaderError(f"{path} is a {'folder' if path.is_dir() else 'device'}, not a {what}")
    with path.open("rb") as file:
        header = file.read(SIZE)
    kind = _kind(header)
    if not kind:
        others = [name for start, name in _OTHERS.items() if header.startswith(start)]
        found = f"; it is {others[0]} of an earlier version or of another program" if others else ""
        raise HeaderError(f"{path} is not a {what}{found or '; it is empty' * (not header)}")
    if kind != schema:
        is_older = kind.rpartition("-")[0] == schema.rpartition("-")[0]
        reads = f"; this version reads {schema}; make it again" if is_older else f", not a {what}"
        raise HeaderError(f"{path} is of kind {kind}{reads}")
    if header != _header(schema, _digest(path)):
        raise DamagedError(
            f"{path} was altered or damaged: its checksum does not match its content"
        )


def write_arrays(path: Path, schema: str, arrays: dict[str, Any]) -> None:
    """Write named arrays: a header, and an npz archive behind it; whole or not at all."""
    with atomic(path) as partial:
        with partial.open("wb") as file:
            file.write(bytes(SIZE))
            np.savez(file, **arrays)
        write_header(partial, schema)


def read_arrays(path: Path, schema: str) -> dict[str, Any] | None:
    """What `write_arrays` wrote; None if it is not there, or damaged in whatever way."""
    try:
        check_header(path, schema, "file of arrays")
        with path.open("rb") as disk:
            disk.seek(SIZE)
            with np.load(disk) as file:
                return {name: file[name] for name in file.files}
    except (OSError, HeaderError):
        return None


def kind_of(path: Path) -> str:
    """What a file says that it is, ``hodspectra-KIND-NUMBER``, whole or not; empty if nothing."""
    with path.open("rb") as file:
        return _kind(file.read(SIZE))


def check_replaceable(path: Path, schema: str, what: str, overwrite: bool) -> None:
    """Let a command write a file only where that destroys nothing that it was not told to.

    Args:
        path: The file to be written.
        schema: What the command writes; older versions of it may be replaced too.
        what: The same in words.
        overwrite: Whether it was told to.

    Raises:
        FileExistsError: The file exists and must stay, or something else has its name.
    """
    if not path.exists():
        return
    if not path.is_file():
        raise FileExistsError(f"{path} is no file; give another --out")
    is_ours = kind_of(path).rpartition("-")[0] == schema.rpartition("-")[0]
    if not is_ours and path.stat().st_size > 0:
        raise FileExistsError(f"{path} exists and is not a {what}, so it stays; give another --out")
    if not overwrite:
        raise FileExistsError(f"{path} exists; pass --overwrite true or another --out")


def _kind(header: bytes) -> str:
    found = _KIND.match(header)
    return found[1].decode() if found else ""


def _header(schema: str, digest: str) -> bytes:
    return f"{schema}\nsha256 {digest}\n".encode().ljust(SIZE, b"\n")


def _digest(path: Path) -> str:
    """SHA-256 of a file after its first block."""
    with path.open("rb") as file:
        file.seek(SIZE)
        return hashlib.file_digest(file, "sha256").hexdigest()
