"""Search for good hyperparameters: ``python -m tuning.search``."""

import logging
import math
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import yaml

from datagen.cli import run
from datagen.files import atomic
from datagen.parallel import RayConfig, ray_session
from datagen.store import Spectra
from emulator.record import validation_loss
from emulator.schedule import ScheduleConfig
from emulator.train import EMULATOR_FILE, TrainConfig, check_run_config
from emulator.train import train as train_emulator
from tuning.progress import SearchBar
from tuning.space import SearchSpace
from tuning.trial import FAILED_LOSS, METRIC, run_trial

__all__ = ["Budget", "search"]

Sampler = Literal["tpe", "random"]

_EXPERIMENT = "tune"  # Ray Tune's own folder in the run directory
_GRACE = 0.25  # share of its time that every trial gets before it may be stopped


@dataclass(frozen=True)
class Budget:
    """What a search may cost.

    Attributes:
        trials: Number of trials.
        minutes: Wall time after which no trial goes on; 0 sets no limit.
        threads: Threads of each trial; as many trials run at once as the cores allow.
        early_stopping: Stop a trial early that is behind the better half at equal time
            (ASHA, Li et al. 2020, arXiv:1810.05934); needs a limit on the minutes of a trial.
    """

    trials: int = 50
    minutes: float = 0.0
    threads: int = 1
    early_stopping: bool = True

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise ValueError(f"budget.trials = {self.trials} must be at least 1")
        if not self.minutes >= 0:
            raise ValueError(f"budget.minutes = {self.minutes:g} must not be negative")
        if self.threads < 1:
            raise ValueError(f"budget.threads = {self.threads} must be at least 1")


def search(
    data: Path,
    out: Path,
    train: TrainConfig = TrainConfig(),
    space: SearchSpace = SearchSpace(),
    budget: Budget = Budget(),
    sampler: Sampler = "tpe",
    seed: int = 1,
    final: ScheduleConfig = ScheduleConfig(),
    ray: RayConfig = RayConfig(dashboard=True),
) -> Path:
    """Search for the hyperparameters with the lowest validation loss, and train the best.

    Trials are proposed by Optuna and run by Ray Tune. The folder gets ``trials.csv`` (every
    trial), ``best.yaml`` (a configuration for ``emulator.train``), ``final/`` (a training with
    it, by the schedule `final`) and ``emulator.safetensors``, the better of this and the trial's
    own. The same command resumes a search that was interrupted. The test split is never touched.

    Args:
        data: Label file of ``datagen.generate``.
        out: Folder for the results.
        train: Settings of every trial that the space does not set.
        space: Ranges of the hyperparameters.
        budget: What the search may cost.
        sampler: ``tpe`` is Optuna's multivariate tree-structured Parzen estimator (Bergstra et
            al. 2011), ``random`` draws blindly.
        seed: Seed of the sampler.
        final: Schedule of the training of the best.
        ray: Where the trials run.

    Returns:
        The path of the best emulator.

    Raises:
        ValueError: All trials failed, batches would be larger than the training split, or the
            folder holds another search.
    """
    spectra = Spectra.read(data, train.outputs)
    _check_batches(space, len(train.split.rows(len(spectra), "train")))
    request = {
        "data": str(data), "out": str(out), "train": train.as_dict(), "space": asdict(space),
        "budget": asdict(budget), "sampler": sampler, "seed": seed, "final": asdict(final),
    }  # fmt: skip
    check_run_config(out, request)
    with ray_session(ray) as session:
        if session.dashboard_url:
            print(f"Ray dashboard: http://{session.dashboard_url}")  # noqa: T201
        trials = _run_trials(spectra, out, train, space, budget, sampler, seed)
    best = _best_trial(trials)
    config = replace(SearchSpace.apply(best.config, train), schedule=final)
    _write_results(out, trials, config)
    if not (out / "final" / EMULATOR_FILE).exists():
        train_emulator(data, out / "final", config)
    return _keep_better(out, best)


def _keep_better(out: Path, trial: Any) -> Path:
    """Copy the final emulator, or that of the trial if it is better, into the folder."""
    candidates = [out / "final" / EMULATOR_FILE]
    if trial.checkpoint and trial.checkpoint.path:
        candidates.append(Path(trial.checkpoint.path) / EMULATOR_FILE)
    losses = {path: validation_loss(path) for path in candidates if path.exists()}
    best = min(losses, key=lambda path: losses[path])
    with atomic(out / EMULATOR_FILE) as partial:
        shutil.copyfile(best, partial)
    which = "final training" if best == candidates[0] else "trial itself: the final one was worse"
    print(f"{out / EMULATOR_FILE}: val_loss {losses[best]:.3g}, from the {which}")  # noqa: T201
    return out / EMULATOR_FILE


def _check_batches(space: SearchSpace, points: int) -> None:
    if space.batch_size[1] > points:
        raise ValueError(
            f"space.batch_size reaches {space.batch_size[1]}, but only {points} points train; "
            f"lower it or generate more labels"
        )


def _run_trials(
    spectra: Spectra,
    out: Path,
    base: TrainConfig,
    space: SearchSpace,
    budget: Budget,
    sampler: Sampler,
    seed: int,
) -> Any:
    """Ray Tune's results of all trials; resumes the experiment that lies in the folder."""
    import ray
    from ray import tune

    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # the bar names failed trials
    trainable = tune.with_resources(
        tune.with_parameters(run_trial, spectra=spectra, base=base, threads=budget.threads),
        {"cpu": budget.threads},
    )
    experiment = out.resolve() / _EXPERIMENT
    if tune.Tuner.can_restore(experiment):
        print(f"resuming the search in {experiment}")  # noqa: T201
        return tune.Tuner.restore(
            str(experiment), trainable, param_space=space.distributions(), restart_errored=True
        ).fit()
    cores = ray.cluster_resources()["CPU"]
    return tune.Tuner(
        trainable,
        param_space=space.distributions(),
        tune_config=tune.TuneConfig(
            metric=METRIC,
            mode="min",
            search_alg=_searcher(sampler, seed),
            scheduler=_scheduler(base.schedule) if budget.early_stopping else None,
            num_samples=budget.trials,
            max_concurrent_trials=max(1, int(cores // budget.threads)),
            time_budget_s=60 * budget.minutes or None,
            trial_dirname_creator=lambda trial: trial.trial_id,
        ),
        run_config=tune.RunConfig(
            name=_EXPERIMENT,
            storage_path=str(experiment.parent),
            callbacks=[SearchBar(budget.trials)],
            checkpoint_config=tune.CheckpointConfig(num_to_keep=2),
            verbose=0,
        ),
    ).fit()


def _searcher(sampler: Sampler, seed: int) -> Any:
    """Optuna's sampler as Ray Tune takes it."""
    import optuna
    from ray.tune.search.optuna import OptunaSearch

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    samplers: dict[str, Any] = {
        "tpe": lambda: optuna.samplers.TPESampler(seed=seed),
        "random": lambda: optuna.samplers.RandomSampler(seed=seed),
    }
    return OptunaSearch(metric=METRIC, mode="min", sampler=samplers[sampler]())


def _scheduler(schedule: ScheduleConfig) -> Any:
    """ASHA over the trials' time, or over their epochs where time is not limited."""
    from ray.tune.schedulers import ASHAScheduler

    time_attr = "time_total_s" if schedule.max_minutes else "epochs"
    longest = math.ceil(60 * schedule.max_minutes) or sum(schedule.max_epochs)
    grace = math.ceil(_GRACE * longest)
    return ASHAScheduler(time_attr=time_attr, max_t=longest, grace_period=grace, reduction_factor=2)


def _best_trial(trials: Any) -> Any:
    """The trial with the lowest validation loss.

    Raises:
        ValueError: No trial succeeded.
    """
    done = [trial for trial in trials if trial.metrics and METRIC in trial.metrics]
    best = min(done, key=lambda trial: trial.metrics[METRIC], default=None)
    if best is None or best.metrics[METRIC] >= FAILED_LOSS:
        errors = [str(trial.error).strip() for trial in trials if trial.error]
        reasons = {error.splitlines()[-1] for error in errors} or {"no loss was finite"}
        raise ValueError(f"all {len(trials)} trials failed: {'; '.join(sorted(reasons))}")
    return best


def _write_results(out: Path, trials: Any, best: TrainConfig) -> None:
    """``trials.csv``, best first, and ``best.yaml``."""
    table = trials.get_dataframe()
    columns = {"trial_id": "trial", METRIC: METRIC, "p95": "p95", "epochs": "epochs",
               "time_total_s": "seconds"}  # fmt: skip
    columns |= {name: name.removeprefix("config/") for name in table if "config/" in name}
    table = table.reindex(columns=list(columns)).rename(columns=columns).sort_values(METRIC)
    with atomic(out / "trials.csv") as partial:
        table.to_csv(partial, index=False)
    with atomic(out / "best.yaml") as partial:
        partial.write_text(yaml.safe_dump({"train": best.as_dict()}, sort_keys=False))


def main(argv: list[str] | None = None) -> None:
    """Command line of `search`."""
    run(search, "python -m tuning.search", argv)


if __name__ == "__main__":
    main()
