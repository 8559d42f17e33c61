"""Shipped emulators, by name."""

from os import PathLike
from pathlib import Path

from datagen.messages import did_you_mean

__all__ = ["SUFFIX", "find", "shipped"]

SUFFIX = ".onnx"
FOLDER = Path(__file__).resolve().parent / "models"


def shipped() -> dict[str, Path]:
    """Files of the shipped emulators, by name."""
    return {path.stem: path for path in sorted(FOLDER.glob(f"*{SUFFIX}"))}


def find(path_or_name: str | Path) -> Path:
    """Return the file of an emulator, given its path or the name of a shipped one.

    Raises:
        FileNotFoundError: No such file or name.
        TypeError: Neither a text nor a path.
    """
    if not isinstance(path_or_name, str | PathLike):
        raise TypeError(f"emulator = {path_or_name!r} must be a file or the name of a shipped one")
    path, known = Path(path_or_name), shipped()
    if path.is_file():
        return path
    name = str(path_or_name)
    if name in known:
        return known[name]
    guess = did_you_mean(path.name.removesuffix(SUFFIX), known)
    if name and path.is_dir():
        raise FileNotFoundError(f"{path} is a folder, not an emulator ({SUFFIX}){guess}")
    if path.suffix == SUFFIX or len(path.parts) > 1:
        raise FileNotFoundError(f"no emulator at {path}{guess}; make one with hodspectra export")
    raise FileNotFoundError(
        f"no emulator {name!r}{guess}: neither a file nor one that comes with the package "
        f"({', '.join(known) or 'none does'})"
    )
