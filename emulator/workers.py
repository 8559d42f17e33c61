"""Distributed training in processes started by Ray Train, on this machine or on a cluster."""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from datagen.parallel import RayConfig, ray_session

__all__ = ["run_workers"]

_NOTES_FOLDER = ".ray_train"  # Ray Train's own files, useless after a training
_DEATHS = 3  # largest number of restarts after the loss of a process (memory, a node)


def run_workers(
    function: Callable[[], Any],
    workers: int,
    out: Path,
    config: RayConfig,
    *,
    cpus: int,
    use_gpu: bool,
) -> None:
    """Call a function in several processes at once, connected by ``torch.distributed``.

    If a process dies, all are restarted; the function must resume from its own checkpoint.

    Args:
        function: Function of each process; its result is ignored.
        workers: Number of processes.
        out: Run folder.
        config: Where Ray runs.
        cpus: Number of cores of each process.
        use_gpu: Whether each process has a GPU, if there are any.

    Raises:
        ValueError: There are too few cores or GPUs, or the function raised it.
        OSError: The function raised it.
    """
    notes = (out / _NOTES_FOLDER).resolve()
    shutil.rmtree(notes, ignore_errors=True)  # of a training that was killed
    try:
        with ray_session(config):
            _fit(function, workers, notes, cpus, use_gpu)
    finally:
        shutil.rmtree(notes, ignore_errors=True)


def _fit(function: Callable[[], Any], workers: int, notes: Path, cpus: int, use_gpu: bool) -> None:
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig, WorkerGroupError
    from ray.train.torch import TorchTrainer

    there = ray.cluster_resources()
    use_gpu = use_gpu and there.get("GPU", 0) > 0
    wanted = {"CPU": cpus} | ({"GPU": 1} if use_gpu else {})
    for kind, each in wanted.items():
        if workers * each > there.get(kind, 0):
            raise ValueError(
                f"hardware.workers = {workers} take {workers * each} {kind}s, but Ray sees "
                f"{there.get(kind, 0):g}"
            )

    def process() -> Any:
        try:
            function()
        except (ValueError, OSError) as error:  # a setting, a full disk: repeating does not help
            return error
        return None

    trainer: Any = TorchTrainer(
        process,
        scaling_config=ScalingConfig(
            num_workers=workers, use_gpu=use_gpu, resources_per_worker=wanted
        ),
        run_config=RunConfig(
            name="training",
            storage_path=str(notes),
            failure_config=FailureConfig(max_failures=_DEATHS),
        ),
    )
    # in a thread, since Ray Train handles Ctrl-C itself in the main thread
    thread = ThreadPoolExecutor(1).submit(trainer.fit)
    try:
        refusal = thread.result().return_value
    except WorkerGroupError as error:
        raise next(iter(error.worker_failures.values())) from error
    if refusal is not None:
        raise refusal
