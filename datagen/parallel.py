"""Start Ray quietly, and map a function over items in parallel with a progress bar."""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any
from unittest.mock import patch

from tqdm.auto import tqdm

from datagen.cluster import (
    check_address,
    check_temporary_folder,
    free_port,
    keep_token_private,
)
from hodspectra.ending import SIGNALS, hides_ours

__all__ = ["RayConfig", "ray_map", "ray_session"]


@dataclass(frozen=True)
class RayConfig:
    """Where Ray runs.

    Attributes:
        address: Address of a running Ray cluster; empty to start Ray on this machine.
        cpus: Cores to use on this machine; 0 for all.
        dashboard: Serve Ray's dashboard, on this machine only (127.0.0.1).
        dashboard_port: Port of the dashboard; if it is taken, another one is chosen.
    """

    address: str = ""
    cpus: int = 0
    dashboard: bool = False
    dashboard_port: int = 8265

    def __post_init__(self) -> None:
        if self.cpus < 0:
            raise ValueError(f"cpus = {self.cpus} must not be negative")


class ray_session:  # noqa: N801 (a context manager, named like a function)
    """Context manager that starts Ray and stops it afterwards; a running Ray is left running.

    Args:
        config: Where Ray runs.

    Attributes:
        config: Where Ray runs.
        dashboard_url: Address of the dashboard; empty if there is none.

    Raises:
        ConnectionError: Ray does not start here, or no cluster answers at the address.
        OSError: The name of the folder for temporary files is too long for Ray's sockets.
    """

    def __init__(self, config: RayConfig) -> None:
        self.config = config
        self.dashboard_url = ""

    def __enter__(self) -> Any:
        # before Ray is imported: no usage reports, quiet workers, one thread per task
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        with _signals_wait():
            import ray
        self._started = not ray.is_initialized()
        if self._started:
            self.dashboard_url = _start(self.config)
        return self

    def __exit__(self, *_: object) -> None:
        import ray

        if self._started:
            ray.shutdown()


def _start(config: RayConfig) -> str:
    """Start Ray or join a cluster; return the address of the dashboard."""
    import ray

    address = config.address
    if address:
        check_address(address)
    else:
        check_temporary_folder()
    keep_token_private(create=not address)
    try:
        with _signals_wait(undo=ray.shutdown):
            return str(ray.init(**_options(config)).dashboard_url or "")
    except Exception as error:  # Ray has no common class for errors at its start
        ray.shutdown()
        reason = " ".join(str(error).split()) or type(error).__name__
        hint = "" if address else "; on a busy machine, try again, or take fewer cores (cpus)"
        raise ConnectionError(
            f"Ray does not start at {address or 'this machine'} ({reason}){hint}"
        ) from error


def _options(config: RayConfig) -> dict[str, Any]:
    """Arguments of ``ray.init``."""
    environment: dict[str, Any] = {"env_vars": {"OMP_NUM_THREADS": "1"}}
    # the current folder is first on the path of Ray's workers, which inherit PYTHONPATH
    first = [str(Path.cwd()), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    if any(hides_ours(Path(folder)) for folder in first):
        environment["worker_process_setup_hook"] = "hodspectra.ending.claim"
    options: dict[str, Any] = {
        "address": config.address or "local",
        "log_to_driver": False,
        "logging_level": logging.ERROR,
        "runtime_env": environment,
    }
    if not config.address:
        options |= {
            "num_cpus": config.cpus or os.cpu_count(),
            "include_dashboard": config.dashboard,
            "dashboard_host": "127.0.0.1",
            "dashboard_port": free_port(config.dashboard_port),
        }
    return options


@contextmanager
def _signals_wait(undo: Callable[[], Any] = lambda: None) -> Iterator[None]:
    """Defer signals that end a command to the end of the block, while Ray starts.

    Python crashes if it ends while Ray is starting. Ray is also kept from installing its own
    handler of SIGTERM. A second signal is handled at once.

    Args:
        undo: Called before a deferred signal is handled.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    acts: dict[int, Any] = {n: act for n in SIGNALS if callable(act := signal.getsignal(n))}

    def wait(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if len(came) > 1:
            acts[number](number, frame)

    register = signal.signal

    def keep(number: int, act: Any) -> Any:
        return acts[number] if number in acts else register(number, act)

    for number in acts:
        register(number, wait)
    try:
        with patch.object(signal, "signal", keep):
            yield
    finally:
        for number, act in acts.items():
            register(number, act)
    if came:
        undo()
        acts[came[0]](came[0], None)


def _call(function: Callable[[Any], Any], item: Any) -> Any:
    return function(item)


def ray_map(
    function: Callable[[Any], Any],
    items: Sequence[Any],
    *,
    label: str,
    unit: str = "it",
    sizes: Sequence[int] | None = None,
    done: int = 0,
) -> Iterator[tuple[int, Any]]:
    """Map a function over items in parallel, with a progress bar.

    At most two tasks per core are in flight, so that memory does not grow with the number of
    items. Ray repeats a task if its worker dies; if the worker dies every time, the result is a
    `ChildProcessError`.

    Args:
        function: Function of one item; runs in Ray's workers, on one core each.
        items: Arguments of the function.
        label: Text before the bar.
        unit: Unit of the bar.
        sizes: Number of units of each item; by default 1 each.
        done: Number of units at the start, for a resumed run.

    Yields:
        Index and result of each item, in the order of completion.

    Raises:
        Exception: Any error that the function raised, without Ray's wrapping.
    """
    import ray

    shared = ray.put(function)  # once, with all that it holds
    task = ray.remote(num_cpus=1)(_call)
    sizes = sizes or [1] * len(items)
    waiting = iter(enumerate(items))
    pending: dict[Any, int] = {}
    with tqdm(total=done + sum(sizes), initial=done, desc=label, unit=unit, smoothing=0.05) as bar:
        while True:
            cores = max(1, int(ray.cluster_resources().get("CPU", 0)))  # clusters grow and shrink
            for index, item in islice(waiting, max(0, 2 * cores - len(pending))):
                pending[task.remote(shared, item)] = index
            if not pending:
                return
            (ready,), _ = ray.wait(list(pending), num_returns=1)
            index = pending.pop(ready)
            try:
                result = ray.get(ready)
            except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError):
                result = ChildProcessError("the worker process died each time it was tried")
            except ray.exceptions.RayTaskError as error:
                raise error.cause from error  # the function's own error, without Ray's wrapping
            yield index, result
            bar.update(sizes[index])
