"""Optuna's samplers for Ray Tune, without repetitions and independent of the order of results.

Several trials run at once, and the order in which they end depends on the machine. So a proposal
depends only on its number and on trials that were proposed well before, all of which have ended.
The same search makes the same proposals, fast or slow, interrupted or not.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from ray.tune.search import Searcher

from tuning.journal import Journal, Trial, key_of

__all__ = ["OptunaSearcher", "Sampler", "make_sampler", "told"]

Sampler = Literal["tpe", "gp", "random"]

_HOPELESS = 1e3  # larger values, such as those of diverged trials, are set to this
_OWN_TRIES = 10  # known points that the sampler may propose before points are drawn at random
_TRIES = 1000  # known points in total after which the space is considered exhausted
_NUMBERS = 1_000_003  # makes seeds of different searches and proposals differ


def make_sampler(name: Sampler, seed: int) -> Any:
    """Return a sampler of Optuna by name."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    samplers: dict[str, Any] = {
        "tpe": optuna.samplers.TPESampler,
        "gp": optuna.samplers.GPSampler,
        "random": optuna.samplers.RandomSampler,
    }
    return samplers[name](seed=seed)


def told(report: dict[str, Any], objectives: Sequence[str]) -> list[float]:
    """Return the values of a report for a sampler: log10, since losses span orders of magnitude."""
    return [math.log10(min(report[name], _HOPELESS)) for name in objectives]


class OptunaSearcher(Searcher):
    """Searcher of Ray Tune that resumes interrupted trials, then proposes points with Optuna.

    If the sampler proposes a known point, it is given the known values and asked again. The search
    ends when there is no new point.

    Args:
        journal: Run folder, with ended trials, which are known, and open ones, to be resumed.
        distributions: Optuna's distributions of the hyperparameters, by name.
        sampler: Name of the sampler.
        objectives: Names of the minimised quantities.
        known: Ended trials of other run folders.
        seed: Seed of the proposals.
        at_once: Largest number of concurrent trials: a proposal uses all trials but the last
            ``at_once - 1``, and waits for their end.
    """

    def __init__(
        self,
        journal: Journal,
        distributions: dict[str, Any],
        sampler: Sampler,
        objectives: tuple[str, ...],
        known: Sequence[Trial],
        seed: int,
        at_once: int,
    ) -> None:
        super().__init__(metric=objectives[0], mode="min")
        self.journal, self.distributions, self.objectives = journal, distributions, objectives
        self.sampler, self.seed, self.at_once, self.known = sampler, seed, at_once, tuple(known)
        self._open = [trial for trial in journal.trials() if trial.state == "open"]

    def suggest(self, trial_id: str) -> Any:
        """Return name and point of the next trial; None while earlier trials are running."""
        if self._open:
            return self._config(self._open.pop(0))
        if not self.journal.has_ended(self.journal.next - self.at_once):
            return None
        point = self._propose(self.journal.trials(), self.journal.next)
        if point is None:
            return Searcher.FINISHED
        return self._config(self.journal.propose(point))

    @staticmethod
    def _config(trial: Trial) -> dict[str, Any]:
        return {"trial": trial.name, "point": trial.point}

    def _propose(self, trials: Sequence[Trial], number: int) -> dict[str, Any] | None:
        """A new point; None if there is none."""
        import optuna

        seed = (self.seed * _NUMBERS + number) % 2**32
        directions = [optuna.study.StudyDirection.MINIMIZE] * len(self.objectives)
        study = optuna.create_study(directions=directions, sampler=make_sampler(self.sampler, seed))
        blind = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
        before = [*self.known, *(one for one in trials if one.number <= number - self.at_once)]
        values: dict[str, list[float] | None] = {key_of(trial.point): None for trial in trials}
        values |= {key_of(trial.point): self._values(trial) for trial in before}
        for trial in before:
            if (known := self._values(trial)) is not None:
                study.add_trial(
                    optuna.trial.create_trial(
                        params=trial.point, distributions=self.distributions, values=known
                    )
                )
        for attempt in range(_TRIES):
            if attempt >= _OWN_TRIES:
                study.enqueue_trial(blind.ask(self.distributions).params)
            asked = study.ask(self.distributions)
            key = key_of(asked.params)
            if key not in values:
                return dict(asked.params)
            if values[key] is None:
                study.tell(asked, state=optuna.trial.TrialState.FAIL)
            else:
                study.tell(asked, values[key])
        return None

    def _values(self, trial: Trial) -> list[float] | None:
        """Values of an ended trial for the sampler; None if it failed."""
        if trial.state in ("open", "failed") or self.objectives[0] not in trial.report:
            return None
        return told(trial.report, self.objectives)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Do nothing: results are in the run folder."""

    def save(self, checkpoint_path: str) -> None:
        """Do nothing but create the file: the state is in the run folder."""
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing; see `save`."""
