"""Finish of a training with L-BFGS on one large fixed batch; the better weights are kept."""

import math
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import mse_loss
from tqdm.auto import tqdm

from emulator.data import SpectraData
from emulator.module import EmulatorModule
from emulator.schedule import FinishConfig
from emulator.work import FLOAT64_COST, flop_of_evaluation

__all__ = ["Finish", "flop_of_finish", "outcome", "validation_mse"]

_ROUND = 20  # evaluations between two validations
_CHUNK = 1024  # points evaluated at once, which fit into a core's cache
_VALIDATION_CHUNK = 4096
_SECONDS, _SHARE = 5.0, 0.05  # least seconds between checkpoints, and their largest share of time


def flop_of_finish(module: EmulatorModule, data: SpectraData, config: FinishConfig) -> float:
    """Floating-point operations of one evaluation of a finish; those in float64 count twice."""
    points = min(config.points or len(data.train), len(data.train))
    cost = FLOAT64_COST if config.precision == "float64" else 1
    return cost * flop_of_evaluation(module, data.example(), points)


def outcome(finish: Mapping[str, Any]) -> str:
    """Text on the result of a finish, from ``finish`` in the history of a training."""
    if finish["best_round"] < 0:
        return "the finish did not lower the validation loss; kept the weights before it"
    return (
        f"the finish lowered the validation loss from {finish['before']:.4g} to "
        f"{finish['best']:.4g} with {finish['evaluations']} evaluations"
    )


@dataclass
class Finish:
    """L-BFGS (Liu & Nocedal 1989, Math. Program. 45, 503) with a strong-Wolfe line search.

    It is deterministic, and can be resumed from its state.

    Args:
        config: Number of evaluations and points, and precision.
        keep: Function that is called with the state from time to time, to write a checkpoint.
        bar: Label of a progress bar; empty for none.

    Attributes:
        before: Validation loss of the initial weights.
        best: Lowest validation loss so far, of weights rounded to float32.
        best_round: Round of the lowest loss; -1 for the initial weights.
        evaluations: Number of evaluations of the loss so far.
        seconds: Seconds so far, including those before a resume.
        losses: ``train_loss``, the minimised loss at the beginning of each round, and ``val_loss``
            at its end.
    """

    config: FinishConfig
    keep: Callable[[dict[str, Any]], None] = lambda _: None
    bar: str = ""
    before: float = math.nan
    best: float = math.nan
    best_round: int = -1
    evaluations: int = 0
    seconds: float = 0.0
    losses: list[dict[str, float]] = field(default_factory=list)

    @property
    def _dtype(self) -> torch.dtype:
        return torch.float64 if self.config.precision == "float64" else torch.float32

    @property
    def share(self) -> float:
        """Completed fraction of the evaluations."""
        return self.evaluations / self.config.evaluations

    def as_dict(self) -> dict[str, Any]:
        """Return the results, for histories and records."""
        names = ("before", "best", "best_round", "evaluations", "seconds", "losses")
        return {name: getattr(self, name) for name in names}

    def run(
        self,
        module: EmulatorModule,
        data: SpectraData,
        device: torch.device,
        max_seconds: float = math.inf,
        state: dict[str, Any] | None = None,
    ) -> None:
        """Minimise the loss, and leave the weights with the lowest validation loss in the module.

        Args:
            module: Module with the initial weights, in float32.
            data: Training and validation data.
            device: Device to compute on.
            max_seconds: Seconds after which no further round begins.
            state: State passed to `keep`, to resume.
        """
        module.to(device).eval()
        fine = EmulatorModule(
            deepcopy(module.emulator), module.optimizer, module.minimised, module.weighting
        ).to(device, self._dtype)
        fine.eval()
        optimizer = torch.optim.LBFGS(
            fine.emulator.network.parameters(), max_iter=_ROUND, history_size=self.config.memory,
            tolerance_grad=0.0, tolerance_change=0.0, line_search_fn="strong_wolfe",
        )  # fmt: skip
        best = deepcopy(module.emulator.network.state_dict())
        if state is None:
            self.before = self.best = validation_mse(module, data)
        else:
            for name, value in state["found"].items():
                setattr(self, name, value)
            best = state["best_weights"]
            fine.emulator.network.load_state_dict(state["weights"])
            optimizer.load_state_dict(state["optimizer"])
        loss = self._loss(fine, optimizer, data)
        now = time.monotonic()
        start, kept, due = now - self.seconds, now, _SECONDS
        with tqdm(
            total=self.config.evaluations, initial=self.evaluations, desc=self.bar,
            disable=not self.bar, mininterval=1.0,
        ) as bar:  # fmt: skip
            while self._goes_on() and self.seconds < max_seconds:
                optimizer.param_groups[0]["max_eval"] = min(_ROUND, self._left)
                minimised = float(optimizer.step(loss))  # loss at the beginning of the round
                module.emulator.network.load_state_dict(fine.emulator.network.state_dict())
                found = validation_mse(module, data)
                self.losses.append({"train_loss": minimised, "val_loss": found})
                if found < self.best:
                    self.best, self.best_round = found, len(self.losses) - 1
                    best = deepcopy(module.emulator.network.state_dict())
                bar.update(self.evaluations - bar.n)
                now = time.monotonic()
                self.seconds = now - start
                if now - kept >= due:
                    weights = fine.emulator.network.state_dict()
                    self.keep({"found": self.as_dict(), "best_weights": best, "weights": weights,
                               "optimizer": optimizer.state_dict()})  # fmt: skip
                    kept = time.monotonic()
                    due = max(_SECONDS, (kept - now) / _SHARE)
        module.emulator.network.load_state_dict(best)

    def _loss(
        self, fine: EmulatorModule, optimizer: torch.optim.Optimizer, data: SpectraData
    ) -> Callable[[], Tensor]:
        """Function that evaluates loss and gradient over the chosen points, in chunks."""
        points = min(self.config.points or len(data.train), len(data.train))
        rows = torch.arange(points) * len(data.train) // points
        x, y = (one[rows].to(fine.device, self._dtype) for one in data.train.tensors)
        batches = list(zip(x.split(_CHUNK), y.split(_CHUNK), strict=True))

        def loss() -> Tensor:
            optimizer.zero_grad()
            total = torch.zeros((), dtype=self._dtype, device=fine.device)
            for batch in batches:
                part = fine.loss(batch)[0] * len(batch[0]) / points
                part.backward()
                total += part.detach()
            self.evaluations += 1
            return total

        return loss

    @property
    def _left(self) -> int:
        return self.config.evaluations - self.evaluations

    def _goes_on(self) -> bool:
        """Whether there are evaluations left, and the last round lowered the loss."""
        if self._left <= 0:
            return False
        if len(self.losses) < 2:
            return True
        before, last = (one["train_loss"] for one in self.losses[-2:])
        return last < before  # False for NaN


def validation_mse(module: EmulatorModule, data: SpectraData) -> float:
    """Mean squared error of standardised ln P on the validation split, as logged in training."""
    total = 0.0
    pairs = (one.split(_VALIDATION_CHUNK) for one in data.validation.tensors)
    with torch.no_grad():
        for x, y in zip(*pairs, strict=True):
            predicted = module.emulator.standardised(x.to(module.device))
            total += float(mse_loss(predicted, y.to(module.device))) * len(x)
    return total / len(data.validation)
