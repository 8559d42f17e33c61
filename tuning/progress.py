"""The search in the terminal: one bar, and a line for every trial that ended."""

import time
from typing import Any

from ray.tune import Callback
from tqdm.auto import tqdm

from tuning.trial import METRIC

__all__ = ["SearchBar"]

_REFRESH_SECONDS = 2.0


class SearchBar(Callback):
    """Trials done of all, with ETA, the best loss so far, and a line for each ended trial."""

    def __init__(self, trials: int) -> None:
        self.trials = trials
        self.best = float("inf")
        self.bar: Any = None
        self._refreshed = 0.0

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Open the bar, counting trials that ended before an interruption."""
        if self.bar is None:
            done = sum(trial.is_finished() for trial in trials)
            self.bar = tqdm(total=self.trials, initial=done, desc="search", unit="trial")
        if time.monotonic() > self._refreshed + _REFRESH_SECONDS:
            self._refreshed = time.monotonic()
            self.bar.refresh()  # its clock goes on while trials run

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Note a better loss."""
        if result[METRIC] < self.best:
            self.best = result[METRIC]
            self.bar.set_postfix_str(f"best val_loss {self.best:.3g}", refresh=False)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Say what came of a trial."""
        loss, epochs = trial.last_result[METRIC], trial.last_result["epochs"]
        point = ", ".join(
            f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in trial.config.items()
        )
        self.bar.write(f"val_loss {loss:.3e} after {epochs:4d} epochs: {point}")
        self.bar.update()

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Say that a trial failed."""
        self.bar.write(f"trial {trial.trial_id} failed; see {trial.error_file}")
        self.bar.update()

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        """Close the bar."""
        if self.bar is not None:
            self.bar.close()

    def __getstate__(self) -> dict[str, Any]:
        """All but the bar, for Ray's snapshots."""
        return vars(self) | {"bar": None}
