"""Checks before Ray starts: reachable cluster, short socket names, private token, free port."""

import os
import secrets
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

__all__ = ["check_address", "check_temporary_folder", "free_port", "keep_token_private"]

_PATIENCE = 18.0  # seconds to wait for an answer of a cluster
_SOCKET = "ray/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
_LONGEST = 103 if sys.platform == "darwin" else 107  # bytes of a socket's name (sun_path)
_TOKEN = (
    "export RAY_AUTH_MODE=token, with the token that 'ray get-auth-token' prints there in "
    "~/.ray/auth_token"
)


def check_address(address: str) -> None:
    """Check that a Ray cluster answers at an address.

    Args:
        address: ``HOST:PORT`` or ``ray://HOST:PORT``; an empty one, ``local`` and ``auto`` pass.

    Raises:
        ConnectionError: Nothing listens there, or it is not a Ray cluster, or refuses access.
    """
    if address in ("", "local", "auto"):
        return
    deadline = time.monotonic() + _PATIENCE
    way_out = "start one with 'ray start --head', or leave the address empty"
    try:
        _knock(address, deadline)
    except (OSError, ValueError) as error:
        raise ConnectionError(
            f"no Ray cluster answers at {address!r} ({error}); {way_out}"
        ) from error
    try:
        done = subprocess.run(
            _probe(address), capture_output=True, text=True, errors="replace", check=False,
            timeout=max(1.0, deadline - time.monotonic()),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ConnectionError(
            f"what listens at {address!r} does not answer as a Ray cluster; {way_out}"
        ) from None
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        hint = _TOKEN if "uthentication" in reason else way_out
        raise ConnectionError(f"no Ray cluster can be used at {address!r} ({reason}); {hint}")


def _probe(address: str) -> list[str]:
    """Command that succeeds if a cluster answers; Ray in this process would retry for minutes."""
    python = [sys.executable, "-P"]  # without the current folder on the path
    if "://" in address:
        code = "import logging, sys, ray; ray.init(sys.argv[1], logging_level=logging.ERROR)"
        return [*python, "-c", code, address]
    return [*python, "-m", "ray.scripts.scripts", "status", "--address", address]


def _knock(address: str, deadline: float) -> None:
    """Raise an OSError if nothing listens at host:port."""
    host, _, port = address.rpartition("/")[2].rpartition(":")
    if not host or not port.isdigit():
        raise ValueError("an address is HOST:PORT")
    timeout = deadline - time.monotonic()
    socket.create_connection((host.strip("[]"), int(port)), timeout=timeout).close()


def check_temporary_folder() -> None:
    """Check that the names of Ray's sockets are not too long for the system.

    Raises:
        OSError: The name of the folder for temporary files is too long.
    """
    folder = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
    length = len(os.fsencode(folder.rstrip("/"))) + 1 + len(_SOCKET)
    if os.name == "posix" and length > _LONGEST:
        raise OSError(
            f"the folder for temporary files, {folder}, is too long for Ray's sockets ({length} "
            f"bytes, the system allows {_LONGEST}); export RAY_TMPDIR=/tmp, or another short folder"
        )


def keep_token_private(create: bool) -> None:
    """Make Ray's authentication token readable by its owner only; Ray leaves this to the umask.

    Args:
        create: Whether to create a missing token, as Ray does for a cluster that it starts.
    """
    if (
        os.name != "posix"
        or os.environ.get("RAY_AUTH_TOKEN")
        or "RAY_AUTH_TOKEN_PATH" in os.environ
    ):
        return
    token = Path.home() / ".ray" / "auth_token"
    with suppress(OSError):  # owned by somebody else, or not writable: Ray reports its own error
        if create:
            token.parent.mkdir(mode=0o700, exist_ok=True)
            with suppress(FileExistsError):
                file = os.open(token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(file, "w") as stream:
                    stream.write(secrets.token_hex(32))
        for path, mode in ((token.parent, 0o700), (token, 0o600)):
            if path.stat().st_mode & 0o777 & ~mode:
                path.chmod(mode)


def free_port(port: int) -> int:
    """Return a port of 127.0.0.1 if it is free, else another one; Ray itself would fail."""
    for candidate in (port, 0):
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                trial.bind(("127.0.0.1", candidate))
                return int(trial.getsockname()[1])
    raise OSError("no port of 127.0.0.1 is free")
