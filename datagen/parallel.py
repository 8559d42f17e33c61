"""Ray: starting it quietly, and mapping a function over items with a progress bar."""

import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

from tqdm.auto import tqdm

__all__ = ["RayConfig", "ray_map", "ray_session"]


_PATIENCE = 10.0  # seconds that a cluster may take to answer


@dataclass(frozen=True)
class RayConfig:
    """Where Ray runs.

    Attributes:
        address: Address of a running Ray cluster, or empty to start Ray on this machine.
        cpus: Cores to use on this machine; 0 takes all.
        dashboard: Show Ray's dashboard, on this machine only (127.0.0.1).
        dashboard_port: Its port; another one where this is taken.
    """

    address: str = ""
    cpus: int = 0
    dashboard: bool = False
    dashboard_port: int = 8265

    def __post_init__(self) -> None:
        if self.cpus < 0:
            raise ValueError(f"cpus = {self.cpus} must not be negative")


class ray_session:  # noqa: N801 (a context manager, named like a function)
    """Ray, started for a block and stopped after it; a running Ray is used and left running."""

    def __init__(self, config: RayConfig) -> None:
        self.config = config
        self.dashboard_url = ""

    def __enter__(self) -> Any:
        # before Ray is imported: no usage reports, quiet workers, one thread per task
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        import ray

        self._started = not ray.is_initialized()
        if self._started:
            options: dict[str, Any] = {
                "address": self.config.address or "local",
                "log_to_driver": False,
                "logging_level": logging.ERROR,
                "runtime_env": {"env_vars": {"OMP_NUM_THREADS": "1"}},
            }
            if not self.config.address:
                options |= {
                    "num_cpus": self.config.cpus or os.cpu_count(),
                    "include_dashboard": self.config.dashboard,
                    "dashboard_host": "127.0.0.1",
                    "dashboard_port": _free_port(self.config.dashboard_port),
                }
            address = self.config.address
            try:
                _knock(address)
            except (TimeoutError, OSError) as error:
                raise ConnectionError(
                    f"no Ray cluster answers at {address!r}; start one with 'ray start --head', "
                    f"or leave the address empty"
                ) from error
            try:
                context = ray.init(**options)
            except (ConnectionError, RuntimeError) as error:
                raise ConnectionError(
                    f"Ray does not start at {address or 'this machine'!r} ({error}); if the "
                    f"cluster there asks for a token, export RAY_AUTH_MODE=token, with the token "
                    f"that 'ray get-auth-token' prints there in ~/.ray/auth_token"
                ) from error
            self.dashboard_url = context.dashboard_url or ""
        return self

    def __exit__(self, *_: object) -> None:
        import ray

        if self._started:
            ray.shutdown()


def _knock(address: str) -> None:
    """Raise an OSError if nobody listens at host:port; Ray itself would try for many minutes."""
    host, _, port = address.rpartition("/")[2].rpartition(":")
    if port.isdigit():
        socket.create_connection((host, int(port)), timeout=_PATIENCE).close()


def _free_port(port: int) -> int:
    """The port of 127.0.0.1, or another one where it is taken; Ray itself would only fail."""
    for candidate in (port, 0):
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                trial.bind(("127.0.0.1", candidate))
                return int(trial.getsockname()[1])
    raise OSError("no port of 127.0.0.1 is free")


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
    """Index and result of ``function(item)``, as each is done, with a progress bar.

    Only two tasks a core are in flight, so that memory does not grow with the number of items.
    Ray repeats a task whose worker dies; where the worker dies every time, the result is a
    `ChildProcessError`.

    Args:
        function: Runs in Ray's workers, one core each.
        items: Its arguments.
        label: Stands before the bar.
        unit: What the bar counts.
        sizes: How far each item moves the bar; one each by default.
        done: Where the bar starts: what was done in an earlier run.
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
                raise error.cause from error  # what the function raised, without Ray's wrapping
            yield index, result
            bar.update(sizes[index])
