"""Search spaces: ranges of hyperparameters, and settings of a training at a point."""

import math
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

from emulator.finetune import FinetuneConfig
from emulator.module import Loss
from emulator.network import Activation
from emulator.optimizers import Optimizer
from emulator.semianalytic.cosmology import CosmologyConfig
from emulator.semianalytic.grid import MassGrid
from emulator.train import TrainConfig

__all__ = ["FinetuneSpace", "Ranges", "SearchSpace", "SemiAnalyticSpace", "space_of"]

_ON_GRID = 1e-6  # tolerance of points on a grid, in steps


@dataclass(frozen=True)
class Ranges:
    """Base class of search spaces: ranges, ends included, and choices.

    Equal ends fix a number, a single name fixes a choice.

    Attributes:
        CHOICES: Names of the hyperparameters that are choices.
        LOGS: Names of the hyperparameters that are sampled uniformly in their logarithm.
        GRIDS: Numbers of equal steps of hyperparameters that are sampled on a grid, by name.

    Raises:
        ValueError: A range is empty, reversed or not finite, or a choice is duplicate.
    """

    CHOICES: ClassVar[tuple[str, ...]] = ()
    LOGS: ClassVar[tuple[str, ...]] = ()
    GRIDS: ClassVar[dict[str, int]] = {}

    def __post_init__(self) -> None:
        for name, values in vars(self).items():
            if not values:
                raise ValueError(f"space.{name} is empty; name at least one choice")
            if name in self.CHOICES:
                if len(set(values)) < len(values):
                    raise ValueError(f"space.{name} = {list(values)} names a choice twice")
            elif not all(map(math.isfinite, values)):
                raise ValueError(f"space.{name} = {list(values)} must be finite")
            elif values[0] > values[1]:
                raise ValueError(
                    f"space.{name} = [{values[0]:g}, {values[1]:g}] is reversed; swap its ends"
                )

    def distributions(self) -> dict[str, Any]:
        """Return Optuna's distributions of the hyperparameters, by name."""
        from optuna.distributions import (
            CategoricalDistribution,
            FloatDistribution,
            IntDistribution,
        )

        found: dict[str, Any] = {}
        for name, values in vars(self).items():
            if name in self.CHOICES:
                found[name] = CategoricalDistribution(values)
            else:
                whole = all(isinstance(value, int) for value in values)
                kind: Any = IntDistribution if whole else FloatDistribution
                found[name] = kind(
                    low=values[0], high=values[1], log=name in self.LOGS, **self._step(name)
                )
        return found

    def _step(self, name: str) -> dict[str, float]:
        if name not in self.GRIDS:
            return {}
        low, high = getattr(self, name)
        return {} if low == high else {"step": float(f"{(high - low) / self.GRIDS[name]:.12g}")}

    def contains(self, point: dict[str, Any]) -> bool:
        """Return whether a point, hyperparameters by name, lies in the space."""
        if point.keys() != vars(self).keys():
            return False
        for name, values in vars(self).items():
            value = point[name]
            if name in self.CHOICES and value not in values:
                return False
            if name not in self.CHOICES and not values[0] <= value <= values[1]:
                return False
            if step := self._step(name):
                steps = (value - values[0]) / step["step"]
                if abs(steps - round(steps)) > _ON_GRID:
                    return False
        return True


@dataclass(frozen=True)
class SearchSpace(Ranges):
    """Search space of a network and its training.

    Equal ends fix a number, a single name fixes a choice. The published ranges are in
    ``configs/published/search.yaml``.

    Attributes:
        layers: Range of the number of hidden layers.
        units: Range of the width of the hidden layers, sampled in its logarithm.
        activation: Nonlinearities to choose from.
        optimizer: Optimisers to choose from.
        lr: Range of the peak learning rate, sampled in its logarithm.
        batch_size: Range of the number of points per step, sampled in its logarithm.
        dropout: Range of the fraction of hidden units dropped in training, sampled in tenths of
            the range, so that 0 can be among them; even small fractions cost accuracy.
        residual: Whether layers have residual connections, to choose from.
        components: Numbers of principal components to choose from; 0 for none.
        loss: Losses to choose from; see `emulator.train.TrainConfig`.
    """

    CHOICES = ("activation", "optimizer", "residual", "components", "loss")
    LOGS = ("units", "lr", "batch_size")
    GRIDS: ClassVar[dict[str, int]] = {"dropout": 10}

    layers: tuple[int, int] = (3, 8)
    units: tuple[int, int] = (64, 384)
    activation: tuple[Activation, ...] = ("gelu", "swish", "tanh")
    optimizer: tuple[Optimizer, ...] = ("SOAP",)
    lr: tuple[float, float] = (1e-3, 2e-2)
    batch_size: tuple[int, int] = (128, 1024)
    dropout: tuple[float, float] = (0.0, 0.0)
    residual: tuple[bool, ...] = (False, True)
    components: tuple[int, ...] = (0,)
    loss: tuple[Loss, ...] = ("rms", "mse")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.CHOICES:
            for choice in getattr(self, name):
                self.apply(self._corner(0) | {name: choice}, TrainConfig())
        self.apply(self._corner(1), TrainConfig())  # the ends must be valid settings

    def _corner(self, end: int) -> dict[str, Any]:
        return {name: values[-end] for name, values in vars(self).items()}

    @staticmethod
    def apply(point: dict[str, Any], base: TrainConfig) -> TrainConfig:
        """Return settings of a training with the hyperparameters of a point.

        Args:
            point: Hyperparameters by name.
            base: All other settings.
        """
        names = ("layers", "units", "activation", "dropout", "residual", "components")
        network = replace(base.network, **{name: point[name] for name in names})
        optimizer = replace(
            base.optimizer,
            name=point["optimizer"],
            lr=point["lr"],
            batch_size=point["batch_size"],
        )
        return replace(base, network=network, optimizer=optimizer, loss=point["loss"])


@dataclass(frozen=True)
class FinetuneSpace(Ranges):
    """Search space of a fine-tuning on the worst points; the defaults are the published ranges.

    All ranges are sampled in the logarithm.

    Attributes:
        N_bad: Range of the number of worst training points; an upper end of 0 stands for all
            training points.
        lr: Range of the learning rate.
        batch_size: Range of the number of points per step; at most `N_bad` points are used.
        epochs: Range of the maximum number of epochs.
    """

    LOGS = ("N_bad", "lr", "batch_size", "epochs")

    N_bad: tuple[int, int] = (10, 0)
    lr: tuple[float, float] = (1e-6, 1e-4)
    batch_size: tuple[int, int] = (16, 2048)
    epochs: tuple[int, int] = (100, 20000)

    def __post_init__(self) -> None:
        top = self.N_bad[1] or max(self.N_bad[0], 1)
        whole = vars(self) | {"N_bad": (self.N_bad[0], top)}
        for name, values in whole.items():
            if values[0] <= 0:
                raise ValueError(f"space.{name} = {list(values)} must be positive")
        Ranges.__post_init__(self if self.N_bad[1] else replace(self, N_bad=whole["N_bad"]))
        for end in (0, 1):  # the ends must be valid settings
            self.apply({name: values[end] for name, values in whole.items()}, FinetuneConfig())

    def of(self, points: int) -> "FinetuneSpace":
        """Return the space for a number of training points.

        Raises:
            ValueError: `N_bad` is larger than the number of training points.
        """
        if max(self.N_bad) > points:
            raise ValueError(
                f"space.N_bad = {list(self.N_bad)} reaches beyond the {points} training points"
            )
        return replace(self, N_bad=(self.N_bad[0], self.N_bad[1] or points))

    @staticmethod
    def apply(point: dict[str, Any], base: FinetuneConfig) -> FinetuneConfig:
        """Return settings of a fine-tuning with the hyperparameters of a point.

        Args:
            point: Hyperparameters by name.
            base: All other settings.
        """
        size = min(point["batch_size"], point["N_bad"])
        optimizer = replace(base.optimizer, lr=point["lr"], batch_size=size)
        return replace(base, N_bad=point["N_bad"], optimizer=optimizer, epochs=point["epochs"])


@dataclass(frozen=True)
class SemiAnalyticSpace(Ranges):
    """Search space of the network and grid of a semi-analytic emulator.

    The default ranges include the settings of the emulators of the package. Equal ends fix a
    number. First node and spacing of the grid are derived, so that the grid begins just below the
    lowest halo mass; see `emulator.semianalytic.fit.covering`.

    Attributes:
        units: Range of the number of hidden units of the network, sampled in its logarithm.
        rank: Range of the width of the network's linear bottleneck, sampled in its logarithm.
        nodes: Range of the number of nodes of the integrals, sampled in its logarithm.
        end: Range of the last node, 3 ln(R_L / Mpc); 13.7 is a halo mass of about 10^17 Msun.
    """

    LOGS = ("units", "rank", "nodes")

    units: tuple[int, int] = (120, 960)
    rank: tuple[int, int] = (16, 96)
    nodes: tuple[int, int] = (56, 112)
    end: tuple[float, float] = (12.0, 14.5)

    def __post_init__(self) -> None:
        super().__post_init__()
        for rank in self.rank:  # the ends must be valid settings
            CosmologyConfig(self.units[0], rank)
        for nodes in self.nodes:
            MassGrid(nodes)


def space_of(ranges: dict[str, Any]) -> Ranges:
    """Return the search space with given ranges.

    Args:
        ranges: All ranges by name, as in ``config.yaml`` of a search.
    """
    kinds: tuple[type[Ranges], ...] = (SearchSpace, FinetuneSpace, SemiAnalyticSpace)
    (kind,) = (kind for kind in kinds if {field.name for field in fields(kind)} == set(ranges))
    return kind(**{name: tuple(values) for name, values in ranges.items()})
