"""Optuna's samplers behind Ray Tune: they try nothing twice, and do not depend on who is first.

Several trials run at once, and which of them ends first depends on the machine. So the proposal
of a trial is made of the trials that were proposed well before it, all of which have ended by
then, and of its own number: the same search makes the same proposals, quick or slow, interrupted
or not.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from ray.tune.search import Searcher

from tuning.journal import Journal, Trial, key_of

__all__ = ["OptunaSearcher", "Sampler", "make_sampler", "told"]

Sampler = Literal["tpe", "gp", "random"]

_HOPELESS = 1e3  # worse values are all the same; a diverged trial is one of them
_OWN_TRIES = 10  # how often the sampler may propose what is known
_TRIES = 1000  # and then how many blind draws may, before the space counts as used up
_NUMBERS = 1_000_003  # seeds of different searches and proposals differ


def make_sampler(name: Sampler, seed: int) -> Any:
    """Optuna's sampler of a name."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    samplers: dict[str, Any] = {
        "tpe": optuna.samplers.TPESampler,
        "gp": optuna.samplers.GPSampler,
        "random": optuna.samplers.RandomSampler,
    }
    return samplers[name](seed=seed)


def told(report: dict[str, Any], objectives: Sequence[str]) -> list[float]:
    """What a sampler is told of a report: logarithms, since losses span orders of magnitude."""
    return [math.log10(min(report[name], _HOPELESS)) for name in objectives]


class OptunaSearcher(Searcher):
    """Proposes points by an Optuna sampler; trials that were interrupted come first.

    A proposal that agrees with a known trial is answered with its values, and another one is
    made. Ray Tune is told that the search is over when no new point is found.

    Args:
        journal: The run directory: its ended trials are known, its open ones are to go on.
        distributions: The space, in Optuna's terms.
        sampler: Name of the sampler.
        objectives: Names of what is minimised.
        known: Ended trials of other run directories.
        seed: Seed of the proposals.
        at_once: How many trials may run at once: a proposal knows all trials but the last
            ``at_once - 1``, and waits for them.
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
        """The next trial, the name of its folder and its point; None while it has to wait."""
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
        """A point that was not tried before, or None where there is none."""
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
        """What the sampler is told of an ended trial; None of one that failed."""
        if trial.state in ("open", "failed") or self.objectives[0] not in trial.report:
            return None
        return told(trial.report, self.objectives)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Nothing: what came of a trial is in the run directory."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: all of it is in the run directory."""
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        """Nothing; see `save`."""
