"""The search space: ranges of the hyperparameters, and how a point of it becomes a training."""

from dataclasses import dataclass, replace
from typing import Any, get_args

from emulator.module import Optimizer
from emulator.network import Activation
from emulator.train import TrainConfig

__all__ = ["SearchSpace"]

_CHOICES = ("activation", "optimizer")
_INTEGERS = ("layers", "units", "batch_size")
_IN_LOG = ("units", "lr", "batch_size")  # drawn evenly in their logarithm


@dataclass(frozen=True)
class SearchSpace:
    """Ranges that the search draws from, ends included; the defaults are the published ones.

    Equal ends hold a number fixed, a single name holds a choice.

    Attributes:
        layers: Hidden layers.
        units: Width of each layer, drawn evenly in its logarithm.
        activation: Nonlinearities to choose from.
        optimizer: Optimisers to choose from.
        lr: Learning rate of the first stage, drawn evenly in its logarithm.
        batch_size: Points in a step, drawn evenly in its logarithm.
        dropout: Fraction of hidden units dropped in training.
    """

    layers: tuple[int, int] = (1, 20)
    units: tuple[int, int] = (16, 2048)
    activation: tuple[Activation, ...] = get_args(Activation)
    optimizer: tuple[Optimizer, ...] = ("adam", "RAdam")
    lr: tuple[float, float] = (1e-5, 1e-2)
    batch_size: tuple[int, int] = (16, 2048)
    dropout: tuple[float, float] = (0.0, 0.5)

    def __post_init__(self) -> None:
        for name, values in vars(self).items():
            if not values:
                raise ValueError(f"space.{name} is empty; name at least one choice")
            if name not in _CHOICES and values[0] > values[1]:
                raise ValueError(
                    f"space.{name} = [{values[0]:g}, {values[1]:g}] is reversed; swap its ends"
                )
        for end in (0, 1):  # the ends themselves must be valid settings
            self.apply({name: values[-end] for name, values in vars(self).items()}, TrainConfig())

    def distributions(self) -> dict[str, Any]:
        """The space in Ray Tune's terms."""
        from ray import tune

        domains: dict[str, Any] = {}
        for name, values in vars(self).items():
            if name in _CHOICES or values[0] == values[1]:
                domains[name] = tune.choice(sorted(set(values)))
            elif name in _INTEGERS:
                draw = tune.lograndint if name in _IN_LOG else tune.randint
                domains[name] = draw(values[0], values[1] + 1)  # Ray's upper end is excluded
            else:
                draw = tune.loguniform if name in _IN_LOG else tune.uniform
                domains[name] = draw(*values)
        return domains

    @staticmethod
    def apply(point: dict[str, Any], base: TrainConfig) -> TrainConfig:
        """A training with the hyperparameters of a point; all else as in `base`."""
        names = ("layers", "units", "activation", "dropout")
        network = replace(base.network, **{name: point[name] for name in names})
        optimizer = replace(
            base.optimizer,
            name=point["optimizer"],
            lr=point["lr"],
            batch_size=point["batch_size"],
        )
        return replace(base, network=network, optimizer=optimizer)
