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
    """Search for the network size and the mass grid of a semi-analytic emulator.

    Works like ``tuning.search`` and writes the same files, but without a final training: each
    trial is a complete fit on one core, which is never stopped early, and is restarted after an
    interruption. ``best.yaml`` is a configuration for ``emulator.train_semianalytic``.

    Args:
        data: Label file of ``datagen.generate``, of the ``standard`` model.
        out: Folder for the results; on a cluster, all machines must see it.
        fit: Settings of all fits.
        split: Sizes of the splits of the labels; the test split is never used.
        space: Ranges of the hyperparameters.
        budget: Limits of the search.
        sampler: See ``tuning.search``.
        objective: Minimised quantity on the validation split: ``p95`` or ``p99``, percentiles of
            abs(P/P_true - 1) over points and k, the largest of all spectra, or ``val_loss``, the
            mean squared error of the standardised ln P, which is the loss of networks but not of
            semi-analytic emulators.
        latency: Number of points in a batch, to minimise also the time per point and find the
            Pareto front; 0 to ignore the time.
        known: Folders of other searches on the same labels, whose trials are used and not
            repeated.
        seed: Seed of the sampler.
        ray: Where the trials run.

    Returns:
        Path of the best emulator.

    Raises:
        ValueError: All trials failed, the halo model of the labels has no such emulator, or the
            folder contains another search.
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
    """Settings of a semi-analytic emulator that users choose."""
    return {"grid": asdict(config.grid), "cosmology": asdict(config.cosmology)}


def _ranges(spectra: Spectra) -> dict[str, Any]:
    """Parameter space of labels, as in a configuration."""
    space = Space.from_dict(spectra.metadata["space"])
    ranges = {name: asdict(space[name]) for name in space.names}
    return {**ranges, "occupation": space.occupation}


def main(argv: list[str] | None = None) -> None:
    """Command line of `search_semianalytic`."""
    run(search_semianalytic, "python -m tuning.semianalytic", argv)


if __name__ == "__main__":
    main()
