"""How commands end: one line and an exit status for user errors, signals and missing extras.

This module imports only Python's standard library, and every package of ours may import it.
"""

import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from types import FrameType, TracebackType
from typing import Any, TextIO

from hodspectra.extras import advice, is_foreign
from hodspectra.locate import claim, hides_ours

__all__ = ["SIGNALS", "Interrupted", "called", "claim", "ending", "hides_ours", "name_of", "start"]

USER_ERROR = 2  # exit status
# the signals that end a command; Windows has no SIGHUP
SIGNALS = [s for s in signal.Signals if s.name in ("SIGINT", "SIGTERM", "SIGHUP")]
_FOREIGN_USER_ERRORS = {  # exceptions of libraries caused by the user or the machine
    ("lightning", "MisconfigurationException"),
    ("lightning_fabric", "MisconfigurationException"),
    ("torch", "OutOfMemoryError"),
}
_called: ContextVar[str] = ContextVar("called", default="")


class Interrupted(SystemExit):
    """A signal that ends the process (SIGINT, SIGTERM, SIGHUP), raised where it arrived.

    As a SystemExit, it passes every ``except Exception``, and Lightning, which handles
    KeyboardInterrupt itself. Its ``code`` is that of shells, 128 + the number of the signal.

    Args:
        number: Number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.signal = signal.Signals(number)


@contextmanager
def called(name: str) -> Iterator[None]:
    """Set the name of commands within the block, in usage and errors."""
    token = _called.set(name)
    try:
        yield
    finally:
        _called.reset(token)


def name_of(prog: str) -> str:
    """Name of the running command: ``hodspectra search``, or by default ``python -m ...``."""
    return _called.get() or prog


@contextmanager
def ending(prog: str, *, resumable: bool = False) -> Iterator[None]:
    """Run a command in the block, and end the process as a command should.

    User errors end with one line and status 2, signals with one line and status 128 + their number,
    and a closed output pipe without a message. All other errors are bugs, and keep their traceback.

    Args:
        prog: Default name of the command.
        resumable: Whether the command resumes when it is run again.
    """
    module, prog = prog.split()[-1], name_of(prog)
    try:
        with _signals():
            yield
            sys.stdout.flush()
    except (Interrupted, KeyboardInterrupt) as error:
        way_out = "; rerun the command to resume" if resumable else ""
        _say(prog, f"interrupted{way_out}")
        sys.exit(error.code if isinstance(error, Interrupted) else 128 + signal.SIGINT)
    except BrokenPipeError as error:
        if not _mute():
            _fail(prog, module, error)
        sys.exit(128 + signal.SIGPIPE)
    except Exception as error:
        if not _is_users(error):
            raise
        _fail(prog, module, error)


def start() -> None:
    """Prepare a process that ``python -m`` starts for one of our commands.

    Our packages call this function when Python looks for the command in them, before their own
    imports. Those then find our packages only, and a missing extra or an interrupt ends in one
    line.
    """
    claim()
    usual = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        spec = getattr(sys.modules["__main__"], "__spec__", None)
        module = spec.name if spec else ""
        if isinstance(error, KeyboardInterrupt):
            _say(f"python -m {module}", "interrupted")
            sys.exit(128 + signal.SIGINT)
        if isinstance(error, ImportError) and is_foreign(error):
            _fail(f"python -m {module}", module, error)
        usual(kind, error, trace)

    sys.excepthook = hook


def _is_users(error: Exception) -> bool:
    """Whether the user or the machine caused an error, rather than a bug."""
    if isinstance(error, ImportError):
        return is_foreign(error)
    home = type(error).__module__.partition(".")[0]
    return (
        isinstance(error, (ValueError, OSError, MemoryError))
        or (home, type(error).__name__) in _FOREIGN_USER_ERRORS
        or (home == "ray" and not hasattr(error, "cause"))
    )


def _fail(prog: str, module: str, error: Exception) -> None:
    _say(prog, f"error: {_line(module, error)}")
    sys.exit(USER_ERROR)


def _line(module: str, error: Exception) -> str:
    """An error of a command's module as one line."""
    if isinstance(error, ImportError):
        return advice(error, module)
    if isinstance(error, OSError) and error.strerror and type(error).__str__ is OSError.__str__:
        names = [str(name) for name in (error.filename, error.filename2) if name is not None]
        return ": ".join([" -> ".join(names), error.strerror] if names else [error.strerror])
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return f"not enough memory{': ' if text else ''}{text}"
    return text or type(error).__name__


def _say(prog: str, text: str) -> None:
    with suppress(OSError, ValueError):  # stderr is closed
        sys.stderr.write(f"{prog}: {text}\n")
        sys.stderr.flush()


def _mute() -> bool:
    """Discard the output if its reader is gone; return whether it is."""
    gone = [stream for stream in (sys.stdout, sys.stderr) if _has_no_reader(stream)]
    for stream in gone:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
    return bool(gone)


def _has_no_reader(stream: TextIO) -> bool:
    try:
        poll = select.poll()
        poll.register(stream.fileno(), select.POLLOUT)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    except (AttributeError, OSError, ValueError):  # Windows, no file, a closed one
        return False


@contextmanager
def _signals() -> Iterator[None]:
    """Raise `Interrupted` at the first signal; restore the former handlers for a second one.

    Ignored signals (``nohup``, a background job) stay ignored.
    """
    before: dict[int, Any] = {}
    came: list[int] = []

    def restore() -> None:
        while before:
            signal.signal(*before.popitem())

    def raise_it(number: int, frame: FrameType | None) -> None:
        restore()
        came.append(number)
        raise Interrupted(number)

    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, raise_it)
    try:
        yield
    except BaseException as error:
        if came and not isinstance(error, Interrupted):  # Ray makes an exit with status 1 of it
            raise Interrupted(came[0]) from error
        raise
    finally:
        restore()
