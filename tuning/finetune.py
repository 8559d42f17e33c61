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
    """Search for the best fine-tuning of an emulator on its worst points.

    It works as ``tuning.search`` does, and leaves the same in its folder, but for a final
    training: each trial is a whole fine-tuning. Where none is better than the emulator as it
    was, that one is kept.

    Args:
        emulator: File of ``emulator.train`` or ``tuning.search``.
        data: The label file that it was trained on.
        out: Folder for the results; on a cluster, one that all of its machines see.
        finetune: Settings of every trial that the space does not set.
        space: Ranges of the hyperparameters.
        budget: What the search may cost.
        sampler: See ``tuning.search``.
        objective: See ``tuning.search``.
        known: Folders of other searches for this emulator, whose trials are not tried again.
        seed: Seed of the sampler.
        ray: Where the trials run.

    Returns:
        The path of the best emulator.

    Raises:
        ValueError: All trials failed, the labels are not the emulator's, or a folder holds
            another search.
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
