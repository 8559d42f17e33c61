"""Search spaces: ranges of hyperparameters, and how a point of them becomes a training."""

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

_ON_GRID = 1e-6  # of a step


@dataclass(frozen=True)
class Ranges:
    """Ranges that a search draws from, ends included.

    Equal ends hold a number fixed, a single name holds a choice.
    """

    CHOICES: ClassVar[tuple[str, ...]] = ()
    LOGS: ClassVar[tuple[str, ...]] = ()  # drawn uniformly in their logarithm
    GRIDS: ClassVar[dict[str, int]] = {}  # drawn from the ends of so many equal steps

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
        """The space in Optuna's terms."""
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
        """Whether a point lies in the space."""
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
    """The network and its training.

    Equal ends hold a number fixed, a single name holds a choice. The published ranges are in
    ``configs/published/search.yaml``.

    Attributes:
        layers: Hidden layers.
        units: Width of each layer, drawn evenly in its logarithm.
        activation: Nonlinearities to choose from.
        optimizer: Optimisers to choose from.
        lr: Learning rate of the first stage, drawn evenly in its logarithm.
        batch_size: Points in a step, drawn evenly in its logarithm.
        dropout: Fraction of hidden units dropped in training, drawn in tenths of its range:
            so none at all is among them, and the least of it already costs accuracy.
        residual: Whether hidden layers are added to what they get.
        components: Numbers of principal components to choose from; 0 is none.
        loss: What is minimised, to choose from; see `emulator.train.TrainConfig`.
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
        self.apply(self._corner(1), TrainConfig())  # the ends themselves must be valid settings

    def _corner(self, end: int) -> dict[str, Any]:
        return {name: values[-end] for name, values in vars(self).items()}

    @staticmethod
    def apply(point: dict[str, Any], base: TrainConfig) -> TrainConfig:
        """A training with the hyperparameters of a point; all else as in `base`."""
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
    """Fine-tuning on the worst points; the defaults are the published ranges, all drawn in log.

    Attributes:
        N_bad: Number of worst training points; an upper end of 0 stands for all of them.
        lr: Learning rate.
        batch_size: Points in a step; where it exceeds `N_bad`, all of these make one step.
        epochs: Most epochs.
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
        for end in (0, 1):  # the ends themselves must be valid settings
            self.apply({name: values[end] for name, values in whole.items()}, FinetuneConfig())

    def of(self, points: int) -> "FinetuneSpace":
        """The space for a number of training points.

        Raises:
            ValueError: More worst points are asked for than there are.
        """
        if max(self.N_bad) > points:
            raise ValueError(
                f"space.N_bad = {list(self.N_bad)} reaches beyond the {points} training points"
            )
        return replace(self, N_bad=(self.N_bad[0], self.N_bad[1] or points))

    @staticmethod
    def apply(point: dict[str, Any], base: FinetuneConfig) -> FinetuneConfig:
        """A fine-tuning with the hyperparameters of a point; all else as in `base`."""
        size = min(point["batch_size"], point["N_bad"])
        optimizer = replace(base.optimizer, lr=point["lr"], batch_size=size)
        return replace(base, N_bad=point["N_bad"], optimizer=optimizer, epochs=point["epochs"])


@dataclass(frozen=True)
class SemiAnalyticSpace(Ranges):
    """Network and grid of a semi-analytic emulator; the defaults lie around what ships.

    Equal ends hold a number fixed. The first node and the spacing follow, so that the nodes
    always begin just below the lowest haloes; see `emulator.semianalytic.fit.covering`.

    Attributes:
        units: Hidden units of the network, drawn uniformly in their logarithm.
        rank: Numbers that they are condensed to, drawn uniformly in their logarithm.
        nodes: Nodes of the integrals, drawn uniformly in their logarithm.
        end: Last node, 3 ln(R_L / Mpc); 13.7 is a halo mass of about 10^17 Msun.
    """

    LOGS = ("units", "rank", "nodes")

    units: tuple[int, int] = (120, 960)
    rank: tuple[int, int] = (16, 96)
    nodes: tuple[int, int] = (56, 112)
    end: tuple[float, float] = (12.0, 14.5)

    def __post_init__(self) -> None:
        super().__post_init__()
        for rank in self.rank:  # the ends themselves must be valid settings
            CosmologyConfig(self.units[0], rank)
        for nodes in self.nodes:
            MassGrid(nodes)


def space_of(ranges: dict[str, Any]) -> Ranges:
    """The space of ranges by name, as a search's ``config.yaml`` has them."""
    kinds: tuple[type[Ranges], ...] = (SearchSpace, FinetuneSpace, SemiAnalyticSpace)
    (kind,) = (kind for kind in kinds if {field.name for field in fields(kind)} == set(ranges))
    return kind(**{name: tuple(values) for name, values in ranges.items()})
