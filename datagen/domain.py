"""The part of a box where spectra have a logarithm, as trainings that leave points out learn it.

The 1-halo term of gg of ``g3lhalo`` is negative where satellites are few. Such points are dropped
before training, so that an emulator holds on a part of its box only. Which part, a small network
says, fitted to which points were kept and which were not, with its boundary drawn so that it
errs on the side of refusing.
"""

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.space import parameters_of

__all__ = ["FEATURES", "Domain", "Layer", "features"]

Array = NDArray[np.float64]

_ROWS = 4096  # at once, which bounds the memory
_NAMES = list(parameters_of("linke22"))  # of the one occupation that is negative somewhere
_MTH, _MPRIME, _BETA = (_NAMES.index(name) for name in ("Mth", "Mprime", "beta"))
# Mprime matters to the satellites only through their number at the threshold, (Mth / Mprime)^beta
FEATURES = tuple(
    {_MTH: "ln Mth", _MPRIME: "beta ln(Mth / Mprime)"}.get(i, name) for i, name in enumerate(_NAMES)
)


@dataclass(frozen=True)
class Layer:
    """A linear layer.

    Attributes:
        weight: A row for each number that comes out.
        bias: What is added.
    """

    weight: tuple[tuple[float, ...], ...]
    bias: tuple[float, ...]

    def __post_init__(self) -> None:
        widths = set(map(len, self.weight))
        if len(widths) != 1 or len(self.bias) != len(self.weight):
            raise ValueError(
                f"a layer has rows of {sorted(widths)} weights and {len(self.bias)} of them added"
            )


@dataclass(frozen=True)
class Domain:
    """Where an emulator was trained, of all its box.

    Attributes:
        outputs: The spectra that are not positive elsewhere.
        features: What the network takes; see `features`.
        low: Their smallest values.
        high: Their largest values; features are scaled to [-1, 1] by both.
        layers: Of the network, with tanh between them; what comes out is positive inside.
        share: Share of the points where the spectra are not positive, as they were drawn.
        accepted: Share of these that is taken for inside, of points that were not fitted to.
        refused: Share of the others that is taken for outside, likewise.
        points: How many these points are.
    """

    outputs: tuple[str, ...]
    features: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    layers: tuple[Layer, ...]
    share: float
    accepted: float
    refused: float
    points: int

    def __post_init__(self) -> None:
        if self.features != FEATURES or not len(self.low) == len(self.high) == len(FEATURES):
            raise ValueError(f"a domain is told by {', '.join(FEATURES)}, and their ends")
        given = [len(FEATURES), *(len(layer.bias) for layer in self.layers)]
        taken = [*(len(layer.weight[0]) for layer in self.layers), 1]
        if not self.outputs or given != taken:
            raise ValueError(f"a domain has layers that give {given} numbers and take {taken}")

    @cached_property
    def _arrays(self) -> tuple[Any, ...]:
        low, high = np.array(self.low), np.array(self.high)
        scale = 2 / np.where(high > low, high - low, 2.0)
        layers = [(np.array(one.weight).T, np.array(one.bias)) for one in self.layers]
        weight, bias = layers[0]  # takes the scaling up
        layers[0] = scale[:, None] * weight, bias - (1 + low * scale) @ weight
        return tuple(layers)

    def is_inside(self, theta: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether points of the box lie in the domain, shape (N,).

        Args:
            theta: Points, columns ``parameters_of("linke22")``, physical units, shape (N, P).
        """
        inside: NDArray[np.bool_] = self.score(theta) > 0
        return inside

    def score(self, theta: NDArray[Any]) -> Array:
        """What the network gives, positive inside, shape (N,).

        Args:
            theta: As for `is_inside`.
        """
        score = np.empty(len(theta))
        for start in range(0, len(theta), _ROWS):
            rows = slice(start, start + _ROWS)
            score[rows] = self.scored(theta[rows].astype(np.float64))
        return score

    def scored(self, theta: Any, f: Any = np) -> Any:
        """`score` of not too many points at once, by other functions of arrays than numpy's.

        Args:
            theta: As for `is_inside`.
            f: A module with functions as numpy has them, such as ``jax.numpy``.
        """
        (first, offset), *others = self._arrays
        x = features(theta, f) @ first + offset
        for weight, bias in others:
            x = f.tanh(x) @ weight + bias
        return x[:, 0]

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, texts and lists, as JSON gives them back."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain

    @property
    def reason(self) -> str:
        """What is the matter outside."""
        verb = "is" if len(self.outputs) == 1 else "are"
        return f"{' or '.join(self.outputs)} of this halo model {verb} negative"


def features(theta: Any, f: Any = np) -> Any:
    """What tells whether satellites are enough, shape (N, P).

    Args:
        theta: Points, columns ``parameters_of("linke22")``, physical units, shape (N, P).
        f: A module with functions as numpy has them, such as ``jax.numpy``.
    """
    columns = [theta[:, i] for i in range(len(FEATURES))]
    columns[_MTH] = f.log(columns[_MTH])
    columns[_MPRIME] = columns[_BETA] * (columns[_MTH] - f.log(columns[_MPRIME]))
    return f.stack(columns, 1)
