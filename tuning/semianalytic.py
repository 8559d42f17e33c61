"""Search for the best semi-analytic emulator: ``python -m tuning.semianalytic``."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from datagen.cli import run
from datagen.parallel import RayConfig
from datagen.space import Space
from datagen.splits import Split
from datagen.store import Spectra
from emulator.semianalytic.emulator import SemiAnalyticConfig
from emulator.semianalytic.fit import FitConfig
from tuning.command import run_search
from tuning.results import Objective
from tuning.searcher import Sampler
from tuning.space import SemiAnalyticSpace
from tuning.study import Budget
from tuning.task import SemiAnalyticTask

__all__ = ["search_semianalytic"]


def search_semianalytic(
    data: Path,
    out: Path,
    fit: FitConfig = FitConfig(),
    split: Split = Split(),
    space: SemiAnalyticSpace = SemiAnalyticSpace(),
    budget: Budget = Budget(),
    sampler: Sampler = "tpe",
    objective: Objective = "p95",
    latency: int = 0,
    known: tuple[Path, ...] = (),
    seed: int = 1,
    ray: RayConfig = RayConfig(dashboard=True),
) -> Path:
    """Search for the size of a semi-analytic emulator's network and for its grid of masses.

    It works as ``tuning.search`` does, and leaves the same in its folder, but for a final
    training: each trial is a whole fit, which runs to its end on one core, whatever the scheduler,
    and begins anew after an interruption. ``best.yaml`` is a configuration for
    ``emulator.train_semianalytic``.

    Args:
        data: Label file of ``datagen.generate``, of the ``standard`` model.
        out: Folder for the results; on a cluster, one that all of its machines see.
        fit: How each is fitted.
        split: Which labels validate; those of the test split are not looked at.
        space: Ranges of the hyperparameters.
        budget: What the search may cost.
        sampler: See ``tuning.search``.
        objective: What is minimised, on the validation split: ``p95`` or ``p99``, quantiles of
            abs(P/P_true - 1) over points and k, of the spectrum where it is largest, or
            ``val_loss``, the mean squared error of the standardised ln P, which networks are
            trained on and semi-analytic emulators are not.
        latency: Minimise too, and find the Pareto front of, the time that each of so many points
            takes when they are evaluated at once; 0 does not.
        known: Folders of other searches on the same labels, whose trials are not tried again.
        seed: Seed of the sampler.
        ray: Where the trials run.

    Returns:
        The path of the best emulator.

    Raises:
        ValueError: All trials failed, the labels' halo model has no such emulator, or a folder
            holds another search.
    """
    spectra = Spectra.read(data)
    task = SemiAnalyticTask(spectra, space, fit, split)
    fits = {"fit": asdict(fit), "split": asdict(split)}
    halo_model = {"space": _ranges(spectra), "model": spectra.metadata["model"]}
    return run_search(
        task,
        out,
        shared={"labels": spectra.hash(), **fits},
        request={"data": str(data)},
        best_config=lambda point: {
            "semianalytic": _sizes(task.config(point)),
            **fits,
            **halo_model,
        },
        budget=budget,
        sampler=sampler,
        objective=objective,
        latency=latency,
        known=known,
        seed=seed,
        ray=ray,
    )


def _sizes(config: SemiAnalyticConfig) -> dict[str, Any]:
    """What a user chooses of a semi-analytic emulator."""
    return {"grid": asdict(config.grid), "cosmology": asdict(config.cosmology)}


def _ranges(spectra: Spectra) -> dict[str, Any]:
    """The space of labels, as a configuration has it."""
    space = Space.from_dict(spectra.metadata["space"])
    ranges = {name: asdict(space[name]) for name in space.names}
    return {**ranges, "occupation": space.occupation}


def main(argv: list[str] | None = None) -> None:
    """Command line of `search_semianalytic`."""
    run(search_semianalytic, "python -m tuning.semianalytic", argv)


if __name__ == "__main__":
    main()
