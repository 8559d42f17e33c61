"""Atomic writing of files, locks between processes, and the cache directory."""

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

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)  # no support of locks


class BusyError(ValueError):
    """Error if another process is writing a file or folder."""


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Context manager for writing a file atomically.

    Yields a temporary path beside `path`, which replaces `path` if the block succeeds. Readers see
    the old content or the new one, never a part; after an error, or on a full disk, the old
    content remains. The file mode follows the umask. If `path` is a link, its target is replaced.

    Args:
        path: File to write; missing folders are created.

    Raises:
        OSError: The file cannot be written, or `path` is a folder or a device.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        raise OSError(f"{path} is not a file that could be replaced; give another name")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")
    try:
        partial.touch(exist_ok=False)
        mode = stat.S_IMODE(partial.stat().st_mode)
        yield partial
        if stat.S_IMODE(partial.stat().st_mode) != mode:  # safetensors makes a new file with 0600
            partial.chmod(mode)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        if error.errno and error.filename in (None, str(partial)):  # a full disk has no file name
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def exclusive(path: Path, *, folder: bool = False) -> Iterator[None]:
    """Context manager that locks a file or folder against writing by other processes.

    The lock is a system lock on a small file (``.NAME.lock`` beside a file, ``.lock`` in a
    folder), which ends with the process, even if it is killed. Temporary files that a killed
    process left behind in `atomic` are removed. On file systems without locks, nothing is locked.

    Args:
        path: File or folder.
        folder: Whether `path` is a folder; it is created if missing.

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
                lock.unlink(missing_ok=True)  # while the lock is held, see _locked
            os.close(file)
        if is_new:
            with suppress(OSError):
                home.rmdir()  # if still empty


def _locked(lock: Path, path: Path) -> int | None:
    """Open file of the lock; None if the disk is read-only or does not support locks."""
    import fcntl  # POSIX only; not needed to evaluate emulators

    while True:
        try:
            file = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError:
            try:
                file = os.open(lock, os.O_RDONLY)  # belongs to another user
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
        os.close(file)  # the previous holder has removed the file meanwhile: try again


def _partials(path: Path, folder: bool) -> list[Path]:
    """Unfinished temporary files of `atomic`, for a file or all files in a folder."""
    name = r"\..+" if folder else re.escape(f".{path.name}")
    found = path.rglob(".*.partial") if folder else path.parent.iterdir()
    return [one for one in found if re.fullmatch(name + r"\.[0-9a-f]{16}\.partial", one.name)]


class HeldBack(io.FileIO):
    """Writable file that defers its first error until `check`.

    For HDF5, which cannot close a file after a failed write (a full disk), and then crashes when
    Python ends.
    """

    error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write data; after an error, do nothing."""
        rest = memoryview(data)
        try:
            while rest and not self.error:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.error = error
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        """Truncate or extend the file; after an error, do nothing."""
        try:
            return self.tell() if self.error else super().truncate(size)
        except OSError as error:
            self.error = error
            return self.tell()

    def check(self) -> None:
        """Raise the deferred error, if there is one."""
        if self.error:
            raise OSError(self.error.errno, self.error.strerror, str(self.name))


def cache_directory() -> Path:
    """Return ``$HODSPECTRA_CACHE``, else ``hodspectra`` in the user's cache directory."""
    explicit = os.environ.get("HODSPECTRA_CACHE")
    if explicit:
        return Path(explicit)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hodspectra"
