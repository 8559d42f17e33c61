"""The mechanism of every search: Ray Tune over a task's space, from a run directory and into it.

Ray Tune schedules; what is known lies in the run directory (see `tuning.journal`). So a search
that was killed is begun anew with what lies there: ended trials are told to the sampler and to
the scheduler, open ones resume from their own checkpoints.

What is proposed and what is stopped early depends on the trials that were proposed well before,
not on which of those beside happens to be ahead: a busy machine finds what a quiet one finds.
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

_TUNE_FOLDER = ".tune"  # Ray Tune's own notes, of no use after a search
_GRACE = 0.25  # share of its longest time that every trial gets before it may be stopped
_LAST_CHECK = 0.99  # and after which it is not stopped any more
_DEATHS = 3  # how often a trial may lose its process: memory, a node


@dataclass(frozen=True)
class Budget:
    """What a search may cost, and how it is spent.

    Attributes:
        trials: Number of trials; 0 sets no limit, then `minutes` must.
        minutes: Wall time after which no trial continues, including the time before an
            interruption; 0 sets no limit.
        threads: Threads of each trial; as many trials run at once as the cores allow.
        at_once: Number of trials that run at the same time, if the cores allow it, and do not use
            the results of each other; 0 uses all cores. The same number gives the same search on
            any machine.
        gpus: GPUs of each trial; a fraction lets several share one.
        scheduler: Which trials are stopped early: ``asha`` stops those behind the better half at
            a quarter and at half of their schedule (Li et al. 2020, arXiv:1810.05934),
            ``median`` those whose best is worse than the median of the others' means so far
            (Golovin et al. 2017), ``none`` no trial. Fits are not stopped by either.
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
    """Ends a search with its time."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Not for a trial's sake."""
        return False

    def stop_all(self) -> bool:
        """Whether the time is up."""
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
    """Run trials until the budget is used up; what came of them is in the journal.

    Args:
        task: What is tuned.
        journal: The run directory; a search that lies in it goes on.
        budget: What it may cost.
        sampler: Who proposes points.
        objectives: What is minimised; several are searched for their Pareto front.
        latency: How many points at once are timed; 0 for none.
        known: Ended trials of other run directories.
        seed: Seed of the sampler.
        ray: Where trials run.
        stack: Keeps Ray and its dashboard up until it is closed.
        afterwards: Estimates from the trials the seconds of what comes after them.

    Raises:
        ValueError: A trial takes more cores or GPUs than there are.
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
    # Ctrl-C must reach us, the logs are ours, and Tune's snapshots are of no use to us
    os.environ |= {
        "TUNE_DISABLE_SIGINT_HANDLER": "1",
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
        "TUNE_GLOBAL_CHECKPOINT_S": "1e9",
        "RAY_AIR_NEW_OUTPUT": "0",
    }
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # the watch names failed trials
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
                # an actor takes longer to start than a small trial, but its name never changes
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
    """How many trials run at once.

    Raises:
        ValueError: Not a single one can run.
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
    """What Ray's actors run; they are shown by what they return as their own name."""
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
    """Stops a trial for what those have reached that were proposed well before it.

    Args:
        make: Makes Ray Tune's scheduler that has seen some trials.
        journal: The run directory.
        at_once: How many trials may run at once.
    """

    def __init__(
        self, make: Callable[[Sequence[Trial]], Any], journal: Journal, at_once: int
    ) -> None:
        super().__init__()
        self.make, self.journal, self.at_once = make, journal, at_once
        self._of: dict[str, Any] = {}

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Make the trial's own scheduler, which has seen what it reported itself, too."""
        number = int(trial.config["trial"])
        trials = {one.number: one for one in self.journal.trials()}
        before = [one for one in trials.values() if one.number <= number - self.at_once]
        if (scheduler := self.make(before)) is not None:
            self._of[trial.trial_id] = scheduler
            scheduler.on_trial_add(tune_controller, trial)
            for report in milestones(trials[number]):
                scheduler.on_trial_result(tune_controller, trial, report)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Whether it may go on."""
        scheduler = self._of.get(trial.trial_id)
        if scheduler is None or not result["milestone"]:
            return str(FIFOScheduler.CONTINUE)
        return str(scheduler.on_trial_result(tune_controller, trial, result))


def milestones(trial: Trial) -> list[dict[str, float]]:
    """The reports that trials are compared by."""
    return [report for report in trial.reports if report["milestone"]]


class _Past:
    """A trial of before, and who ran it then, as schedulers know them."""

    def __init__(self, trial: Trial) -> None:
        self.trial_id = trial.name

    def get_live_trials(self) -> list[Any]:
        """None: it is over."""
        return []


def make_scheduler(
    name: Scheduler, longest: tuple[str, float] | None, metric: str, trials: Sequence[Trial]
) -> Any:
    """Ray Tune's scheduler of a name, which has seen some trials.

    Args:
        name: See `Budget`.
        longest: See `Task.longest`.
        metric: What trials are judged by.
        trials: The trials, in the order in which they were proposed.
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
