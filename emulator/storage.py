"""Files of named arrays and texts: safetensors with a checksum of the whole file."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from datagen.files import atomic
from datagen.seal import BLANK, is_whole, seal

__all__ = ["EmulatorFileError", "read_sealed", "write_sealed"]

_SEAL = re.compile(rb'"seal":"([0-9a-f]{64})"')  # nested texts have escaped quotes
_SCHEMA = re.compile(rb'"schema":"([^"\\]{1,60})"')
_HEADER = 8  # first bytes of the file, with the length of the header
_FOREIGN = {  # other kinds of files by their first bytes
    b"\x89HDF\r\n\x1a\n": "an HDF5 file, as labels are",
    b"PK\x03\x04": "a zip archive, as checkpoints and .npz files are",
}


class EmulatorFileError(ValueError):
    """Error of a file that is damaged, of another schema, or not an emulator."""


def write_sealed(path: Path, weights: Mapping[str, Tensor], texts: Mapping[str, str]) -> None:
    """Write arrays and texts atomically to a safetensors file with a checksum of all its bytes.

    Args:
        path: File.
        weights: Arrays by name.
        texts: Texts by name, with ``schema``.
    """
    content = seal(save(dict(weights), {**texts, "seal": BLANK}))
    with atomic(path) as partial:
        partial.write_bytes(content)


def read_sealed(path: Path, schema: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read arrays and texts of a file of `write_sealed`, after verifying its checksum.

    Args:
        path: File.
        schema: Expected schema.

    Raises:
        FileNotFoundError: The file does not exist.
        EmulatorFileError: The file is damaged, of another kind, or of another schema.
    """
    if not path.exists():
        raise FileNotFoundError(f"no emulator at {path}; train one with python -m emulator.train")
    if path.is_dir():
        raise EmulatorFileError(f"{path} is a folder; give the emulator.safetensors in it")
    with path.open("rb") as file:
        head = file.read(_HEADER + 1)
        if head[_HEADER:] != b"{":
            raise EmulatorFileError(f"{path} {_foreign(path, head)}")
        content = head + file.read()
    header = content[: _HEADER + int.from_bytes(content[:_HEADER], "little")]
    found = _SEAL.search(header)
    if found is None:
        _check_schema(path, _SCHEMA.search(header), schema)
    if found is None or not is_whole(content, found[1].decode()):
        raise EmulatorFileError(
            f"{path} is not an emulator file as it was written: its checksum does not match its "
            f"content; repeat the command that made it, or take another copy"
        )
    _check_schema(path, _SCHEMA.search(header), schema)
    try:
        texts: dict[str, str] = json.loads(header[_HEADER:])["__metadata__"]
        return load(content), texts
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise EmulatorFileError(f"{path} is sealed, but holds no arrays: {error}") from error


def _check_schema(path: Path, found: re.Match[bytes] | None, schema: str) -> None:
    if found is None:
        raise EmulatorFileError(f"{path} is not an emulator file; give an emulator.safetensors")
    if found[1] != schema.encode():
        raise EmulatorFileError(
            f"{path} has schema {found[1].decode(errors='replace')!r}, this version reads "
            f"{schema!r}; repeat the command that made it"
        )


def _foreign(path: Path, head: bytes) -> str:
    """Description of a file that is not a safetensors file, for the message."""
    for magic, kind in _FOREIGN.items():
        if head.startswith(magic):
            return f"is {kind}, and no emulator; give an emulator.safetensors"
    if path.suffix == ".onnx" or head[:1] == b"\x08":  # ONNX files begin with their version
        return "is an ONNX file; give the emulator.safetensors beside it"
    return "is not an emulator file; give an emulator.safetensors"
