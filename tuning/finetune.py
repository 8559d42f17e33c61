"""Search for the best fine-tuning of an emulator: ``python -m tuning.finetune``."""

from dataclasses import asdict
from pathlib import Path

from datagen.cli import run
from datagen.parallel import RayConfig
from emulator.finetune import FinetuneConfig, load_with_labels
from tuning.command import run_search
from tuning.results import Objective
from tuning.searcher import Sampler
from tuning.space import FinetuneSpace
from tuning.study import Budget
from tuning.task import FinetuneTask

__all__ = ["search_finetune"]


def search_finetune(
    emulator: Path,
    data: Path,
    out: Path,
    finetune: FinetuneConfig = FinetuneConfig(),
    space: FinetuneSpace = FinetuneSpace(),
    budget: Budget = Budget(),
    sampler: Sampler = "tpe",
    objective: Objective = "p99",
    known: tuple[Path, ...] = (),
    seed: int = 1,
    ray: RayConfig = RayConfig(dashboard=True),
) -> Path:
    """Search for the best fine-tuning of a network emulator on its worst points.

    Works like ``tuning.search`` and writes the same files, but without a final training: each
    trial is a complete fine-tuning. If no trial improves the emulator, the original is kept.

    Args:
        emulator: Emulator file of ``emulator.train`` or ``tuning.search``.
        data: Label file on which the emulator was trained.
        out: Folder for the results; on a cluster, all machines must see it.
        finetune: Settings of all trials, except for those in the space.
        space: Ranges of the hyperparameters.
        budget: Limits of the search.
        sampler: See ``tuning.search``.
        objective: See ``tuning.search``.
        known: Folders of other searches for this emulator, whose trials are used and not repeated.
        seed: Seed of the sampler.
        ray: Where the trials run.

    Returns:
        Path of the best emulator.

    Raises:
        ValueError: All trials failed, the emulator was trained on other labels, or the folder
            contains another search.
    """
    model, spectra = load_with_labels(emulator, data)
    return run_search(
        FinetuneTask(spectra, model, finetune, space),
        out,
        shared={
            "labels": spectra.hash(), "emulator": model.hash(), "finetune": asdict(finetune),
        },
        request={"data": str(data), "emulator": str(emulator)},
        best_config=lambda point: {"finetune": asdict(space.apply(point, finetune))},
        rivals=lambda _: {"the emulator as it was": model},
        budget=budget,
        sampler=sampler,
        objective=objective,
        known=known,
        seed=seed,
        ray=ray,
    )  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    """Command line of `search_finetune`."""
    run(search_finetune, "python -m tuning.finetune", argv)


if __name__ == "__main__":
    main()
