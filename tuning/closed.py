"""Search for the best closed form: ``python -m tuning.closed``."""

from dataclasses import asdict
from pathlib import Path

from datagen.cli import run
from datagen.parallel import RayConfig
from datagen.splits import Split
from datagen.store import Spectra
from emulator.closed_fit import FitConfig
from tuning.command import run_search
from tuning.results import Objective
from tuning.searcher import Sampler
from tuning.space import ClosedSpace
from tuning.study import Budget
from tuning.task import ClosedTask

__all__ = ["search_closed"]


def search_closed(
    data: Path,
    out: Path,
    fit: FitConfig = FitConfig(),
    split: Split = Split(),
    space: ClosedSpace = ClosedSpace(),
    budget: Budget = Budget(),
    sampler: Sampler = "tpe",
    objective: Objective = "p95",
    latency: int = 0,
    known: tuple[Path, ...] = (),
    seed: int = 1,
    ray: RayConfig = RayConfig(dashboard=True),
) -> Path:
    """Search for the size of the closed form's network and for the nodes of its integrals.

    It works as ``tuning.search`` does, and leaves the same in its folder, but for a final
    training: each trial is a whole fit, which runs to its end on one core, whatever the scheduler,
    and begins anew after an interruption. ``best.yaml`` is a configuration for
    ``emulator.train_closed``.

    Args:
        data: Label file of ``datagen.generate``, of the ``standard`` model.
        out: Folder for the results; on a cluster, one that all of its machines see.
        fit: How each closed form is fitted.
        split: Which labels validate; those of the test split are not looked at.
        space: Ranges of the hyperparameters.
        budget: What the search may cost.
        sampler: See ``tuning.search``.
        objective: What is minimised, on the validation split: ``p95`` or ``p99``, quantiles of
            abs(P/P_true - 1) over points and k, of the spectrum where it is largest, or
            ``val_loss``, the mean squared error of the standardised ln P, which networks are
            trained on and closed forms are not.
        latency: Minimise too, and find the Pareto front of, the time that each of so many points
            takes when they are evaluated at once; 0 does not.
        known: Folders of other searches on the same labels, whose trials are not tried again.
        seed: Seed of the sampler.
        ray: Where the trials run.

    Returns:
        The path of the best emulator.

    Raises:
        ValueError: All trials failed, the labels' halo model has no closed form, or a folder
            holds another search.
    """
    spectra = Spectra.read(data)
    task = ClosedTask(spectra, space, fit, split)
    fits = {"fit": asdict(fit), "split": asdict(split)}
    return run_search(
        task,
        out,
        shared={"labels": spectra.hash(), **fits},
        request={"data": str(data)},
        best_config=lambda point: {"closed": asdict(task.config(point)), **fits},
        budget=budget,
        sampler=sampler,
        objective=objective,
        latency=latency,
        known=known,
        seed=seed,
        ray=ray,
    )


def main(argv: list[str] | None = None) -> None:
    """Command line of `search_closed`."""
    run(search_closed, "python -m tuning.closed", argv)


if __name__ == "__main__":
    main()
