"""What Ray needs before it starts: a cluster that answers, short socket names, a private token."""

import os
import secrets
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

__all__ = ["check_address", "check_temporary_folder", "free_port", "keep_token_private"]

_PATIENCE = 18.0  # seconds that a cluster may take to answer
_SOCKET = "ray/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
_LONGEST = 103 if sys.platform == "darwin" else 107  # bytes of a socket's name (sun_path)
_TOKEN = (
    "export RAY_AUTH_MODE=token, with the token that 'ray get-auth-token' prints there in "
    "~/.ray/auth_token"
)


def check_address(address: str) -> None:
    """Make sure that a Ray cluster is at an address.

    Raises:
        ConnectionError: Nobody listens there, or what does is no Ray cluster, or not one for us.
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
    """A command that succeeds if a cluster is there; Ray in this process would try for minutes."""
    python = [sys.executable, "-P"]  # whatever lies in the current folder
    if "://" in address:
        code = "import logging, sys, ray; ray.init(sys.argv[1], logging_level=logging.ERROR)"
        return [*python, "-c", code, address]
    return [*python, "-m", "ray.scripts.scripts", "status", "--address", address]


def _knock(address: str, deadline: float) -> None:
    """Raise an OSError if nobody listens at host:port."""
    host, _, port = address.rpartition("/")[2].rpartition(":")
    if not host or not port.isdigit():
        raise ValueError("an address is HOST:PORT")
    timeout = deadline - time.monotonic()
    socket.create_connection((host.strip("[]"), int(port)), timeout=timeout).close()


def check_temporary_folder() -> None:
    """Make sure that Ray's sockets fit into the names that the system allows.

    Raises:
        OSError: The folder for temporary files has too long a name.
    """
    folder = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
    length = len(os.fsencode(folder.rstrip("/"))) + 1 + len(_SOCKET)
    if os.name == "posix" and length > _LONGEST:
        raise OSError(
            f"the folder for temporary files, {folder}, is too long for Ray's sockets ({length} "
            f"bytes, the system allows {_LONGEST}); export RAY_TMPDIR=/tmp, or another short folder"
        )


def keep_token_private(create: bool) -> None:
    """Let nobody else read the token that opens Ray's ports; Ray would leave it to the umask.

    Args:
        create: Whether to write one where there is none, as Ray does for a cluster that it starts.
    """
    if (
        os.name != "posix"
        or os.environ.get("RAY_AUTH_TOKEN")
        or "RAY_AUTH_TOKEN_PATH" in os.environ
    ):
        return
    token = Path.home() / ".ray" / "auth_token"
    with suppress(OSError):  # not ours to change, or nowhere to write: Ray says what it cannot do
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
    """The port of 127.0.0.1, or another one where it is taken; Ray itself would only fail."""
    for candidate in (port, 0):
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                trial.bind(("127.0.0.1", candidate))
                return int(trial.getsockname()[1])
    raise OSError("no port of 127.0.0.1 is free")
