"""Search for good hyperparameters: ``python -m tuning.search``."""

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
    """Search for the hyperparameters of the best emulator, and train it.

    Points are proposed by Optuna, trials are run by Ray Tune. The folder gets ``trials/`` (see
    `tuning.journal`), ``trials.csv``, ``trials.txt`` (NNPowerspectra's format), ``best.yaml`` (a
    configuration for ``emulator.train``), ``final/`` (trainings with it, by the schedule
    `final`), ``emulator.safetensors``, the better of this and the trial's own, and
    ``report.html``. The same command resumes a search that was interrupted, however it was; with
    a larger budget it goes on from a finished one. The test split is never touched.

    Args:
        data: Label file of ``datagen.generate``.
        out: Folder for the results; on a cluster, one that all of its machines see.
        train: Settings of every trial that the space does not set.
        space: Ranges of the hyperparameters.
        budget: What the search may cost.
        sampler: ``tpe`` is Optuna's multivariate tree-structured Parzen estimator (Bergstra et
            al. 2011), ``gp`` a Gaussian process, ``random`` draws blindly.
        objective: What is minimised, on the validation split: ``val_loss``, the loss, or ``p95``
            or ``p99``, quantiles of abs(P/P_true - 1).
        latency: Minimise too, and find the Pareto front of, the time that each of so many points
            takes when they are evaluated at once; 0 does not.
        known: Folders of other searches on the same labels, whose trials are not tried again.
        seed: Seed of the sampler.
        final: Schedule of the training of the best.
        ray: Where the trials run.

    Returns:
        The path of the best emulator.

    Raises:
        ValueError: All trials failed, batches would be larger than the training split, or a
            folder holds another search.
    """
    spectra = Spectra.read(data, train.outputs)

    def best_config(point: dict[str, Any]) -> TrainConfig:
        return replace(space.apply(point, train), schedule=final)

    def seconds(trials: Sequence[Trial]) -> float:
        """An estimate for the final training, at the speed of the trials."""
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
