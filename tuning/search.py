"""Search for good hyperparameters: ``python -m tuning.search``."""

from dataclasses import asdict, replace
from pathlib import Path

from datagen.cli import run
from datagen.parallel import RayConfig
from datagen.store import Spectra
from emulator.emulator import Emulator
from emulator.schedule import ScheduleConfig
from emulator.train import EMULATOR_FILE, TrainConfig
from emulator.train import train as train_emulator
from tuning.journal import Journal
from tuning.report import report
from tuning.results import (
    Objective,
    best_trial,
    candidate,
    keep_best,
    known_trials,
    objectives_of,
    open_study,
    write_results,
)
from tuning.searcher import Sampler
from tuning.space import SearchSpace
from tuning.study import Budget, run_study
from tuning.task import NetworkTask

__all__ = ["search"]


def search(
    data: Path,
    out: Path,
    train: TrainConfig = TrainConfig(),
    space: SearchSpace = SearchSpace(),
    budget: Budget = Budget(),
    sampler: Sampler = "tpe",
    objective: Objective = "val_loss",
    latency: bool = False,
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
        latency: Minimise the time of an evaluation too, and find the Pareto front.
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
    task = NetworkTask(spectra, train, space)
    objectives = objectives_of(objective, latency)
    journal = Journal(out)
    with journal.lock():
        shared = {"labels": spectra.hash(), "train": train.as_dict()}
        request = {
            "data": str(data), "out": str(out), "space": asdict(space), "sampler": sampler,
            "seed": seed, "final": asdict(final),
        }  # fmt: skip
        open_study(journal, shared, request, objectives, budget)
        others = known_trials(known, shared, objectives, space)
        run_study(
            task, journal, budget, sampler=sampler, objectives=objectives, known=others,
            seed=seed, ray=ray,
        )  # fmt: skip
        best = best_trial(journal, objective)
        config = replace(space.apply(best.point, train), schedule=final)
        write_results(task, journal, objective, {"train": config.as_dict()})
        folder = out / "final" / best.name
        if not (folder / EMULATOR_FILE).exists():
            train_emulator(data, folder, config, threads=ray.cpus)
        keep_best(
            task,
            out,
            objective,
            {
                f"trial {best.name}": candidate(task, best),
                "its final training": Emulator.load(folder / EMULATOR_FILE),
            },
        )
        report(out)
    return out / EMULATOR_FILE


def main(argv: list[str] | None = None) -> None:
    """Command line of `search`."""
    run(search, "python -m tuning.search", argv)


if __name__ == "__main__":
    main()
