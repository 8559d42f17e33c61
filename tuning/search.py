"""Search for the hyperparameters of a network emulator: ``python -m tuning.search``."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from datagen.cli import run
from datagen.parallel import RayConfig
from datagen.store import Spectra
from emulator.emulator import Emulator
from emulator.schedule import ScheduleConfig
from emulator.train import EMULATOR_FILE, TrainConfig
from emulator.train import train as train_emulator
from tuning.command import run_search
from tuning.journal import Trial
from tuning.results import Objective
from tuning.searcher import Sampler
from tuning.space import SearchSpace
from tuning.study import Budget
from tuning.task import NetworkTask
from tuning.verdict import FINAL

__all__ = ["search"]


def search(
    data: Path,
    out: Path,
    train: TrainConfig = TrainConfig(),
    space: SearchSpace = SearchSpace(),
    budget: Budget = Budget(),
    sampler: Sampler = "tpe",
    objective: Objective = "val_loss",
    latency: int = 0,
    known: tuple[Path, ...] = (),
    seed: int = 1,
    final: ScheduleConfig = ScheduleConfig(),
    ray: RayConfig = RayConfig(dashboard=True),
) -> Path:
    """Search for the best hyperparameters of a network emulator, and train the best network.

    Optuna proposes points, and Ray Tune runs trials. Writes ``trials/`` (see `tuning.journal`),
    ``trials.csv``, ``trials.txt`` (NNPowerspectra's format), ``best.yaml`` (a configuration for
    ``emulator.train``), ``final/`` (the training of the best point with the schedule ``final``),
    ``emulator.safetensors`` (the better of this and the best trial's) and ``report.html``. To
    resume an interrupted search, rerun the command; to extend a finished one, rerun it with a
    larger budget. The test split is never used.

    Args:
        data: Label file of ``datagen.generate``.
        out: Folder for the results; on a cluster, all machines must see it.
        train: Settings of all trials, except for those in the space.
        space: Ranges of the hyperparameters.
        budget: Limits of the search.
        sampler: ``tpe`` is Optuna's multivariate tree-structured Parzen estimator (Bergstra et al.
            2011), ``gp`` a Gaussian process, ``random`` draws at random.
        objective: Minimised quantity on the validation split: ``val_loss``, the mean squared error
            of the standardised ln P, or ``p95`` or ``p99``, percentiles of abs(P/P_true - 1).
        latency: Number of points in a batch, to minimise also the time per point and find the
            Pareto front; 0 to ignore the time.
        known: Folders of other searches on the same labels, whose trials are used and not
            repeated.
        seed: Seed of the sampler.
        final: Schedule of the final training.
        ray: Where the trials run.

    Returns:
        Path of the best emulator.

    Raises:
        ValueError: All trials failed, batches may be larger than the training split, or the folder
            contains another search.
    """
    spectra = Spectra.read(data, train.outputs)

    def best_config(point: dict[str, Any]) -> TrainConfig:
        return replace(space.apply(point, train), schedule=final)

    def seconds(trials: Sequence[Trial]) -> float:
        """Estimate the seconds of the final training, from the speed of the trials."""
        trials = [trial for trial in trials if trial.report.get("epochs")]
        spent = sum(trial.report["seconds"] for trial in trials)
        if not spent or list((out / "final").glob(f"*/{EMULATOR_FILE}")):
            return 0.0
        epochs = sum(trial.report["epochs"] for trial in trials)
        found = sum(final.max_epochs) * spent / max(1, epochs)
        if final.max_tflop:
            work = sum(trial.report["tflop"] for trial in trials)
            found = min(found, final.max_tflop * spent / work)
        return min(found, 60 * final.max_minutes or found)

    def final_training(best: Trial) -> dict[str, Emulator]:
        folder = out / "final" / best.name
        if not (folder / EMULATOR_FILE).exists():
            train_emulator(data, folder, best_config(best.point))
        return {FINAL: Emulator.load(folder / EMULATOR_FILE)}

    return run_search(
        NetworkTask(spectra, train, space),
        out,
        shared={"labels": spectra.hash(), "train": train.as_dict()},
        request={"data": str(data), "final": asdict(final)},
        best_config=lambda point: {"train": best_config(point).as_dict()},
        rivals=final_training,
        afterwards=seconds,
        budget=budget,
        sampler=sampler,
        objective=objective,
        latency=latency,
        known=known,
        seed=seed,
        ray=ray,
    )


def main(argv: list[str] | None = None) -> None:
    """Command line of `search`."""
    run(search, "python -m tuning.search", argv)


if __name__ == "__main__":
    main()
