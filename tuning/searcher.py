"""Optuna's samplers behind Ray Tune: they know what is known, and try nothing twice."""

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
        sampler: The sampler.
        objectives: Names of what is minimised.
        known: Ended trials of other run directories.
        seed: Seed of blind draws.
    """

    def __init__(
        self,
        journal: Journal,
        distributions: dict[str, Any],
        sampler: Any,
        objectives: tuple[str, ...],
        known: Sequence[Trial],
        seed: int,
    ) -> None:
        import optuna

        super().__init__(metric=objectives[0], mode="min")
        self.journal, self.distributions, self.objectives = journal, distributions, objectives
        directions = [optuna.study.StudyDirection.MINIMIZE] * len(objectives)
        self._study = optuna.create_study(directions=directions, sampler=sampler)
        self._blind = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
        self._values: dict[str, list[float] | None] = {}  # by key; None while it is not known
        self._asked: dict[str, Any] = {}  # by Ray's name of a trial
        trials = journal.trials()
        self._open = [trial for trial in trials if trial.state == "open"]
        for trial in [*known, *trials]:
            self._values[key_of(trial.point)] = None
            if trial.state not in ("open", "failed"):
                self._learn(trial)

    def _learn(self, trial: Trial) -> None:
        import optuna

        values = told(trial.report, self.objectives)
        self._values[key_of(trial.point)] = values
        self._study.add_trial(
            optuna.trial.create_trial(
                params=trial.point, distributions=self.distributions, values=values
            )
        )

    def suggest(self, trial_id: str) -> Any:
        """The next trial: the name of its folder, and its point."""
        if self._open:
            trial = self._open.pop(0)
            self._study.enqueue_trial(trial.point)
            self._asked[trial_id] = self._study.ask(self.distributions)
            return {"trial": trial.name, "point": trial.point}
        for attempt in range(_TRIES):
            if attempt >= _OWN_TRIES:
                self._study.enqueue_trial(self._blind.ask(self.distributions).params)
            asked = self._study.ask(self.distributions)
            key = key_of(asked.params)
            if key not in self._values:
                self._values[key], self._asked[trial_id] = None, asked
                trial = self.journal.propose(asked.params)
                return {"trial": trial.name, "point": trial.point}
            self._tell(asked, self._values[key])
        return Searcher.FINISHED

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell the sampler."""
        asked = self._asked.pop(trial_id, None)
        if asked is None:
            return
        usable = result and not error and "error" not in result and self.metric in result
        values = told(result, self.objectives) if result and usable else None
        self._values[key_of(asked.params)] = values
        self._tell(asked, values)

    def _tell(self, asked: Any, values: list[float] | None) -> None:
        import optuna

        if values is None:
            self._study.tell(asked, state=optuna.trial.TrialState.FAIL)
        else:
            self._study.tell(asked, values)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: all of it is in the run directory."""
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        """Nothing; see `save`."""
