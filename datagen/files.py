"""Files that are either whole or not there, and where caches live."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["HeldBack", "atomic", "cache_directory"]


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


class HeldBack(io.FileIO):
    """A file to write that holds its first error back until `check`.

    For HDF5, which cannot close a file that it could not write (a full disk), and then crashes
    when Python ends.
    """

    error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all of the data, or nothing more once there was an error."""
        rest = memoryview(data)
        try:
            while rest and not self.error:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.error = error
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        """Cut or grow the file, unless there was an error."""
        try:
            return self.tell() if self.error else super().truncate(size)
        except OSError as error:
            self.error = error
            return self.tell()

    def check(self) -> None:
        """Raise the error that was held back, if any."""
        if self.error:
            raise OSError(self.error.errno, self.error.strerror, str(self.name))


def cache_directory() -> Path:
    """``$HODSPECTRA_CACHE``, else ``hodspectra`` in the user's cache directory."""
    explicit = os.environ.get("HODSPECTRA_CACHE")
    if explicit:
        return Path(explicit)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hodspectra"
