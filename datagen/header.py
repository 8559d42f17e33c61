"""First block of this package's files: the schema, and the SHA-256 of the rest of the file.

The checksum is verified before any library parses the file, since libraries may crash or hang on
damaged files. HDF5 skips such a block, a "user block", and so do readers of zip archives.
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
# first bytes of a header, or of the comment line in a table
_KIND = re.compile(rb'(?:# \{"schema": ")?(hodspectra-[a-z]+-\d+)')
_OTHERS = {b"\x89HDF\r\n\x1a\n": "HDF5", b"PK\x03\x04": "a zip archive"}  # by their first bytes


class HeaderError(ValueError):
    """Error of a file of another kind or version."""


class DamagedError(HeaderError):
    """Error of a file of the right kind that was altered or damaged."""


def write_header(path: Path, schema: str) -> None:
    """Write the header into the empty first block of an otherwise complete file.

    Args:
        path: File.
        schema: Kind and version of the file, ``hodspectra-KIND-NUMBER``.
    """
    header = _header(schema, _digest(path))
    with path.open("r+b") as file:
        file.write(header)


def check_header(path: Path, schema: str, what: str) -> None:
    """Check kind, version and checksum of a file, at a gigabyte per second.

    Args:
        path: File.
        schema: Expected kind and version.
        what: Expected kind in words, for messages.

    Raises:
        HeaderError: The file is of another kind or version.
        DamagedError: The file was altered or damaged.
        OSError: The file cannot be read.
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
    """Write named arrays atomically: a header, followed by an npz archive."""
    with atomic(path) as partial:
        with partial.open("wb") as file:
            file.write(bytes(SIZE))
            np.savez(file, **arrays)
        write_header(partial, schema)


def read_arrays(path: Path, schema: str) -> dict[str, Any] | None:
    """Read the arrays of `write_arrays`; None if the file is missing or damaged."""
    try:
        check_header(path, schema, "file of arrays")
        with path.open("rb") as disk:
            disk.seek(SIZE)
            with np.load(disk) as file:
                return {name: file[name] for name in file.files}
    except (OSError, HeaderError):
        return None


def kind_of(path: Path) -> str:
    """Return the schema in a file's header, ``hodspectra-KIND-NUMBER``; empty if there is none."""
    with path.open("rb") as file:
        return _kind(file.read(SIZE))


def check_replaceable(path: Path, schema: str, what: str, overwrite: bool) -> None:
    """Check that a command may write a file.

    Args:
        path: File to write.
        schema: Kind and version that the command writes; older versions may be replaced, too.
        what: Kind in words, for messages.
        overwrite: Whether an existing file may be replaced.

    Raises:
        FileExistsError: The file exists and must not be replaced, or is not of this kind.
    """
    if not path.exists():
        return
    if not path.is_file():
        raise FileExistsError(f"{path} is not a file; give another --out")
    is_ours = kind_of(path).rpartition("-")[0] == schema.rpartition("-")[0]
    if not is_ours and path.stat().st_size > 0:
        raise FileExistsError(
            f"{path} exists and is not a {what}, so it is kept; give another --out"
        )
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
