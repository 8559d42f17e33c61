"""Files that are either whole or not there, and where caches live."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["atomic", "cache_directory"]


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, moved onto it when the block ends well.

    Whoever reads `path` sees the old content or the new one, never a part; a block that fails
    (or a full disk) leaves the old content in place.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def cache_directory() -> Path:
    """``$HODSPECTRA_CACHE``, else ``hodspectra`` in the user's cache directory."""
    explicit = os.environ.get("HODSPECTRA_CACHE")
    if explicit:
        return Path(explicit)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hodspectra"
