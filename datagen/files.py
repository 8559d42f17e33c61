"""Files that are either whole or not there, written by one process at a time; where caches live."""

import errno
import io
import os
import re
import secrets
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

__all__ = ["BusyError", "HeldBack", "atomic", "cache_directory", "exclusive"]

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)  # of the file system


class BusyError(ValueError):
    """A file or folder that another process is writing."""


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, moved onto it when the block ends well.

    Whoever reads `path` sees the old content or the new one, never a part; a block that fails
    (or a full disk) leaves the old content in place. The file gets the mode that umask says,
    whatever the block did to it; where `path` is a link, what it leads to is replaced.

    Raises:
        OSError: The file cannot be written, or `path` is a folder or a device.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        raise OSError(f"{path} is no file that could be replaced; give another name")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")
    try:
        partial.touch(exist_ok=False)
        mode = stat.S_IMODE(partial.stat().st_mode)
        yield partial
        if stat.S_IMODE(partial.stat().st_mode) != mode:  # safetensors makes its own file, of 0600
            partial.chmod(mode)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        if error.errno and error.filename in (None, str(partial)):  # a full disk names nothing
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def exclusive(path: Path, *, folder: bool = False) -> Iterator[None]:
    """Keep other processes from writing a file or into a folder, for the block.

    The lock is one of the system on a small file (``.NAME.lock`` beside a file, ``.lock`` in a
    folder), so that it ends with the process that holds it, however that dies. What `atomic` left
    there when such a process died is removed. File systems without locks are trusted.

    Args:
        path: The file or the folder.
        folder: Whether it is a folder; it is made if it is not there.

    Raises:
        BusyError: Another process holds the lock.
    """
    real = path.resolve()
    home, name = (real, "") if folder else (real.parent, f".{real.name}")
    is_new = not home.exists()
    home.mkdir(parents=True, exist_ok=True)
    lock = home / f"{name}.lock"
    file = _locked(lock, path)
    try:
        if file is not None:
            for left in _partials(real, folder):
                left.unlink(missing_ok=True)
        yield
    finally:
        if file is not None:
            with suppress(OSError):
                lock.unlink(missing_ok=True)  # before the lock ends, see _locked
            os.close(file)
        if is_new:
            with suppress(OSError):
                home.rmdir()  # if nothing came of it


def _locked(lock: Path, path: Path) -> int | None:
    """The lock's open file; None where there can be no lock, on a read-only or odd disk."""
    import fcntl  # POSIX; what evaluates emulators does not need it

    while True:
        try:
            file = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError:
            try:
                file = os.open(lock, os.O_RDONLY)  # left by somebody else, dead or alive
            except OSError:
                return None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file).st_ino == lock.stat().st_ino:
                with suppress(OSError):
                    os.ftruncate(file, 0)
                    os.write(file, f"process {os.getpid()} on {socket.gethostname()}".encode())
                return file
        except BlockingIOError:
            who = os.read(file, 300).decode(errors="replace") or "another process"
            os.close(file)
            raise BusyError(f"{path} is being written by {who}; wait until that ends, or choose "
                       f"another name") from None  # fmt: skip
        except FileNotFoundError:
            pass
        except OSError as error:
            os.close(file)
            if error.errno in _NO_LOCKS:
                return None
            raise
        os.close(file)  # who held the lock removed the file meanwhile


def _partials(path: Path, folder: bool) -> list[Path]:
    """What `atomic` did not finish, of a file or of all in a folder."""
    name = r"\..+" if folder else re.escape(f".{path.name}")
    found = path.rglob(".*.partial") if folder else path.parent.iterdir()
    return [one for one in found if re.fullmatch(name + r"\.[0-9a-f]{16}\.partial", one.name)]


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
