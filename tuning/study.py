"""Run the trials of a search with Ray Tune, with all state in the run folder.

Ray Tune schedules trials; their results are in the run folder (see `tuning.journal`). To resume a
search, ended trials are passed to the sampler and the scheduler, and open trials resume from their
checkpoints.

Proposals and early stopping depend only on trials that were proposed well before, not on the speed
of concurrent ones, so that a search has the same result on busy and idle machines.
"""

import contextlib
import functools
import logging
import math
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ray import tune
from ray.tune.schedulers import FIFOScheduler
from ray.tune.stopper import Stopper

from datagen.parallel import RayConfig, ray_session
from tuning.journal import Clock, Journal, Trial
from tuning.progress import Afterwards, Watch, describe
from tuning.searcher import OptunaSearcher, Sampler
from tuning.task import Task
from tuning.trial import run_trial

__all__ = ["Budget", "TimeStopper", "make_scheduler", "run_study", "trials_at_once"]

Scheduler = Literal["asha", "median", "none"]

_TUNE_FOLDER = ".tune"  # Ray Tune's own files, useless after a search
_GRACE = 0.25  # fraction of the schedule before which no trial is stopped
_LAST_CHECK = 0.99  # fraction of the schedule after which no trial is stopped
_DEATHS = 3  # largest number of restarts of a trial after the loss of its process (memory, a node)


@dataclass(frozen=True)
class Budget:
    """Limits of a search, resources of a trial, and early stopping.

    Attributes:
        trials: Number of trials; 0 sets no limit, if `minutes` does.
        minutes: Wall time after which no trial continues, including the time before an
            interruption; 0 sets no limit.
        threads: Number of threads of each trial; as many trials run at once as the cores allow.
        at_once: Number of trials that run at the same time, if the cores allow it, and do not use
            the results of each other; 0 uses all cores. The same number gives the same search on
            any machine.
        gpus: Number of GPUs of each trial; with a fraction, several trials share one.
        scheduler: Early stopping of trials: ``asha`` stops those in the worse half at a quarter
            and at half of their schedule (Li et al. 2020, arXiv:1810.05934), ``median`` those
            whose best value is worse than the median of the running means of the others (Golovin
            et al. 2017), ``none`` none. Fits of semi-analytic emulators are never stopped.
    """

    trials: int = 50
    minutes: float = 0.0
    threads: int = 1
    at_once: int = 0
    gpus: float = 0.0
    scheduler: Scheduler = "asha"

    def __post_init__(self) -> None:
        if self.trials < 0:
            raise ValueError(f"budget.trials = {self.trials} must not be negative")
        if not 0 <= self.minutes < math.inf:
            raise ValueError(f"budget.minutes = {self.minutes:g} must be finite, not negative")
        if not self.trials and not self.minutes:
            raise ValueError("budget: trials = 0 sets no limit, and minutes = 0 none either")
        if self.at_once < 0:
            raise ValueError(f"budget.at_once = {self.at_once} must not be negative")
        if self.threads < 1:
            raise ValueError(f"budget.threads = {self.threads} must be at least 1")
        if not 0 <= self.gpus < math.inf or (self.gpus > 1 and self.gpus % 1):
            raise ValueError(
                f"budget.gpus = {self.gpus:g} must be a fraction of one, or a whole number"
            )


class TimeStopper(Stopper):
    """Ray Tune's stopper that ends a search when its time is used up.

    Args:
        clock: Clock of the search.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Return False: single trials are not stopped."""
        return False

    def stop_all(self) -> bool:
        """Return whether the time is used up."""
        return self.clock.is_over


def run_study(
    task: Task,
    journal: Journal,
    budget: Budget,
    *,
    sampler: Sampler,
    objectives: tuple[str, ...],
    latency: int = 0,
    known: Sequence[Trial],
    seed: int,
    ray: RayConfig,
    stack: contextlib.ExitStack,
    afterwards: Afterwards = lambda _: 0.0,
) -> None:
    """Run trials until the budget is used up, and write their results to the journal.

    Args:
        task: Task to tune.
        journal: Run folder; a search in it is resumed.
        budget: Limits of the search.
        sampler: Sampler that proposes points.
        objectives: Minimised quantities; of several, the Pareto front is searched.
        latency: Number of points in a timed batch; 0 for no timing.
        known: Ended trials of other run folders.
        seed: Seed of the sampler.
        ray: Where trials run.
        stack: Exit stack that stops Ray and its dashboard.
        afterwards: Function that estimates the seconds of the work after the trials.

    Raises:
        ValueError: A trial needs more cores or GPUs than there are.
        ConnectionError: No cluster answers at the address.
    """
    for trial in journal.trials():
        if trial.state == "failed":
            journal.reopen(trial)
    ended = sum(trial.state != "open" for trial in journal.trials())
    clock = Clock(journal.seconds, 60 * budget.minutes or math.inf)
    if clock.is_over or (budget.trials and ended >= budget.trials):
        return
    session = stack.enter_context(ray_session(ray))
    if session.dashboard_url:
        taken = not ray.address and not session.dashboard_url.endswith(f":{ray.dashboard_port}")
        print(  # noqa: T201
            f"Ray dashboard: http://{session.dashboard_url}, with the token of "
            f"'ray get-auth-token'" + f" (port {ray.dashboard_port} is taken)" * taken
        )
    left = budget.trials - ended if budget.trials else -1
    _run_trials(
        task, journal, budget, clock, left, sampler, objectives, latency, known, seed,
        named=ray.dashboard, afterwards=afterwards,
    )  # fmt: skip
    ended = sum(trial.state != "open" for trial in journal.trials())
    if not clock.is_over and (not budget.trials or ended < budget.trials):
        print(  # noqa: T201
            f"the search ends after {ended} trials: its space holds no further point (floats "
            f"count to three digits); widen the space to go on in another folder"
        )


def _run_trials(
    task: Task,
    journal: Journal,
    budget: Budget,
    clock: Clock,
    left: int,
    sampler: Sampler,
    objectives: tuple[str, ...],
    latency: int,
    known: Sequence[Trial],
    seed: int,
    named: bool,
    afterwards: Afterwards,
) -> None:
    # handle Ctrl-C and write logs here; Tune's snapshots are not used
    os.environ |= {
        "TUNE_DISABLE_SIGINT_HANDLER": "1",
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
        "TUNE_GLOBAL_CHECKPOINT_S": "1e9",
        "RAY_AIR_NEW_OUTPUT": "0",
    }
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # `Watch` reports failed trials
    cores_allow = trials_at_once(budget)
    at_once = budget.at_once or cores_allow
    searcher = OptunaSearcher(
        journal, task.ranges.distributions(), sampler, objectives, known, seed, at_once
    )
    make = functools.partial(make_scheduler, budget.scheduler, task.longest, objectives[0])
    trainable = _trainable(task, journal, budget, latency)
    notes = (journal.out / _TUNE_FOLDER).resolve()
    shutil.rmtree(notes, ignore_errors=True)
    running = min(at_once, cores_allow)
    watch = Watch(journal, clock, objectives, budget.trials, running, afterwards)
    try:
        tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=_InOrder(make, journal, at_once),
                num_samples=left,
                max_concurrent_trials=running,
                # reuse saves the start of an actor, but the dashboard shows the first trial's name
                reuse_actors=not named,
                trial_dirname_creator=lambda trial: trial.trial_id,
                trial_name_creator=lambda trial: f"trial {trial.config['trial']}",
            ),
            run_config=tune.RunConfig(
                name="search",
                storage_path=str(notes),
                callbacks=[watch],
                stop=TimeStopper(clock),
                failure_config=tune.FailureConfig(max_failures=_DEATHS),
                verbose=0,
            ),
        ).fit()
    finally:
        watch.close()
        with contextlib.suppress(OSError):
            shutil.rmtree(notes)


def trials_at_once(budget: Budget) -> int:
    """Return the number of trials that the resources of Ray allow to run at once.

    Raises:
        ValueError: The resources do not suffice for a single trial.
    """
    import ray

    there = ray.cluster_resources()
    counts = []
    for name, wanted, kind in (("threads", budget.threads, "CPU"), ("gpus", budget.gpus, "GPU")):
        found = there.get(kind, 0)
        if wanted > found:
            raise ValueError(f"budget.{name} = {wanted:g}, but Ray sees {found:g} {kind}s")
        if wanted:
            counts.append(int(found / wanted + 1e-9))
    return min(counts)


def _trainable(task: Task, journal: Journal, budget: Budget, latency: int) -> Any:
    """Class of Ray's actors, whose repr is shown in the dashboard."""
    from ray.tune.trainable import wrap_function

    function = tune.with_parameters(
        run_trial, task=task, folder=journal.folder.resolve(), threads=budget.threads,
        latency=latency,
    )  # fmt: skip
    kind: Any = wrap_function(function)
    bundle = {"CPU": budget.threads, "GPU": budget.gpus}

    class Named(kind):
        @classmethod
        def default_resource_request(cls, config: dict[str, Any]) -> Any:
            return tune.PlacementGroupFactory([bundle])

        def __repr__(self) -> str:
            config = self.config or {}
            return f"trial {config.get('trial', '')}: {describe(config.get('point', {}))}"

    Named.__name__ = Named.__qualname__ = "trial"
    return Named


class _InOrder(FIFOScheduler):
    """Scheduler that compares each trial only with trials that were proposed well before it.

    Args:
        make: Function that makes Ray Tune's scheduler for some earlier trials.
        journal: Run folder.
        at_once: Largest number of concurrent trials.
    """

    def __init__(
        self, make: Callable[[Sequence[Trial]], Any], journal: Journal, at_once: int
    ) -> None:
        super().__init__()
        self.make, self.journal, self.at_once = make, journal, at_once
        self._of: dict[str, Any] = {}

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Make the scheduler of a trial, with its own reports before an interruption."""
        number = int(trial.config["trial"])
        trials = {one.number: one for one in self.journal.trials()}
        before = [one for one in trials.values() if one.number <= number - self.at_once]
        if (scheduler := self.make(before)) is not None:
            self._of[trial.trial_id] = scheduler
            scheduler.on_trial_add(tune_controller, trial)
            for report in milestones(trials[number]):
                scheduler.on_trial_result(tune_controller, trial, report)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Return whether the trial continues."""
        scheduler = self._of.get(trial.trial_id)
        if scheduler is None or not result["milestone"]:
            return str(FIFOScheduler.CONTINUE)
        return str(scheduler.on_trial_result(tune_controller, trial, result))


def milestones(trial: Trial) -> list[dict[str, float]]:
    """Return the reports by which trials are compared."""
    return [report for report in trial.reports if report["milestone"]]


class _Past:
    """An earlier trial and its controller, with the interface that schedulers need."""

    def __init__(self, trial: Trial) -> None:
        self.trial_id = trial.name

    def get_live_trials(self) -> list[Any]:
        """Return an empty list: the trial has ended."""
        return []


def make_scheduler(
    name: Scheduler, longest: tuple[str, float] | None, metric: str, trials: Sequence[Trial]
) -> Any:
    """Make a scheduler of Ray Tune, and pass the reports of earlier trials to it.

    Args:
        name: Name of the scheduler, see `Budget`.
        longest: Measure of progress and its maximum, see `Task.longest`.
        metric: Metric by which trials are compared.
        trials: Earlier trials, in the order of their proposal.

    Returns:
        The scheduler; None if no trial is to be stopped.
    """
    from ray.tune.schedulers import ASHAScheduler, MedianStoppingRule

    if name == "none" or longest is None:
        return None
    time_attr, most = longest
    options: dict[str, Any] = {
        "time_attr": time_attr, "metric": metric, "mode": "min", "grace_period": _GRACE * most,
    }  # fmt: skip
    if name == "asha":
        options |= {"max_t": _LAST_CHECK * most, "reduction_factor": 2, "stop_last_trials": False}
        scheduler: Any = ASHAScheduler(**options)
    else:
        scheduler = MedianStoppingRule(**options)
    for trial in trials:
        reports = milestones(trial)
        if trial.state in ("finished", "stopped") and reports:
            past = _Past(trial)
            scheduler.on_trial_add(past, past)
            for report in reports:
                scheduler.on_trial_result(past, past, report)
            scheduler.on_trial_complete(past, past, reports[-1])
    return scheduler
