"""How every command ends: one line and a status where a user, a signal or a lack is the cause.

Nothing but Python's own library is imported here, and every package of ours may import it.
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
# those that end a command; Windows has no SIGHUP
SIGNALS = [s for s in signal.Signals if s.name in ("SIGINT", "SIGTERM", "SIGHUP")]
_FOREIGN_USER_ERRORS = {  # exceptions of libraries that say what a user or a machine did
    ("lightning", "MisconfigurationException"),
    ("lightning_fabric", "MisconfigurationException"),
    ("torch", "OutOfMemoryError"),
}
_called: ContextVar[str] = ContextVar("called", default="")


class Interrupted(SystemExit):
    """A signal that ends the process (SIGINT, SIGTERM, SIGHUP), raised where it arrived.

    As a SystemExit it passes every ``except Exception``, and Lightning, which takes a
    KeyboardInterrupt for its own. Its ``code`` is what shells report, 128 + the signal's number.

    Args:
        number: Of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.signal = signal.Signals(number)


@contextmanager
def called(name: str) -> Iterator[None]:
    """Let commands of the block call themselves so, in usage and errors."""
    token = _called.set(name)
    try:
        yield
    finally:
        _called.reset(token)


def name_of(prog: str) -> str:
    """How a command was called: ``hodspectra search``, or by default ``python -m ...``."""
    return _called.get() or prog


@contextmanager
def ending(prog: str, *, resumable: bool = False) -> Iterator[None]:
    """Run a command in the block, and end the process as a command should.

    What a user can cause ends in one line and status 2, a signal in one line and 128 + its number,
    a reader of our output that went away in silence. All else is a fault of ours, and keeps its
    traceback.

    Args:
        prog: How the command is called.
        resumable: Whether the command goes on from where it stopped when it is run again.
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

    Our packages call it when Python looks for the command in them, before its own imports: these
    then find our packages alone, and a missing extra or an interrupt ends in one line, too.
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
    """Whether a user or a machine is the cause, not a fault of ours."""
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
    with suppress(OSError, ValueError):  # nobody listens any more
        sys.stderr.write(f"{prog}: {text}\n")
        sys.stderr.flush()


def _mute() -> bool:
    """Whether the reader of our output is gone; then what is left of it goes nowhere."""
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
    """Raise `Interrupted` at the first signal; a second one does what it did before.

    A signal that is ignored (``nohup``, a background job) stays ignored.
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
