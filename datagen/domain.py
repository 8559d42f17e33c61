"""Part of a parameter space where all spectra are positive, as a small classifier network.

The 1-halo term of gg of ``g3lhalo`` is negative where satellites are few. Such points are dropped
before training, so that the emulator is valid in a part of its box only. A small network, fitted
to the kept and dropped points, describes this part; its boundary is placed conservatively, so
that points in doubt are rejected.
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

_ROWS = 4096  # points evaluated at once, which limits the memory
_NAMES = list(parameters_of("linke22"))  # the only occupation with negative spectra
_MTH, _MPRIME, _BETA = (_NAMES.index(name) for name in ("Mth", "Mprime", "beta"))
# Mprime matters to the satellites only through their number at the threshold, (Mth / Mprime)^beta
FEATURES = tuple(
    {_MTH: "ln Mth", _MPRIME: "beta ln(Mth / Mprime)"}.get(i, name) for i, name in enumerate(_NAMES)
)


@dataclass(frozen=True)
class Layer:
    """A linear layer.

    Attributes:
        weight: Weights, shape (outputs, inputs).
        bias: Biases, shape (outputs,).
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
    """Part of the box in which an emulator was trained.

    Attributes:
        outputs: Spectra that are negative outside of the domain.
        features: Names of the network's inputs; see `features`.
        low: Smallest values of the features.
        high: Largest values of the features, which are scaled from [low, high] to [-1, 1].
        layers: Layers of the network, with tanh between them; its output is positive inside.
        share: Fraction of the drawn points with a spectrum that is not positive.
        accepted: Fraction of points with such a spectrum that the network wrongly accepts.
        refused: Fraction of points without such a spectrum that the network wrongly rejects.
        points: Number of points, not used in the fit, on which both were measured.
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
        weight, bias = layers[0]  # absorbs the scaling
        layers[0] = scale[:, None] * weight, bias - (1 + low * scale) @ weight
        return tuple(layers)

    def is_inside(self, theta: NDArray[Any]) -> NDArray[np.bool_]:
        """Return whether points of the box lie in the domain, shape (N,).

        Args:
            theta: Points, columns ``parameters_of("linke22")``, physical units, shape (N, P).
        """
        inside: NDArray[np.bool_] = self.score(theta) > 0
        return inside

    def score(self, theta: NDArray[Any]) -> Array:
        """Return the output of the network, positive inside the domain, shape (N,).

        Args:
            theta: As for `is_inside`.
        """
        score = np.empty(len(theta))
        for start in range(0, len(theta), _ROWS):
            rows = slice(start, start + _ROWS)
            score[rows] = self.scored(theta[rows].astype(np.float64))
        return score

    def scored(self, theta: Any, f: Any = np) -> Any:
        """`score` for all points at once, with any array module.

        Args:
            theta: As for `is_inside`.
            f: Array module with numpy's functions, such as ``jax.numpy``.
        """
        (first, offset), *others = self._arrays
        x = features(theta, f) @ first + offset
        for weight, bias in others:
            x = f.tanh(x) @ weight + bias
        return x[:, 0]

    def as_dict(self) -> dict[str, Any]:
        """Return numbers, strings and lists, as read from JSON."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain

    @property
    def reason(self) -> str:
        """The reason why points outside are rejected, for error messages."""
        verb = "is" if len(self.outputs) == 1 else "are"
        return f"{' or '.join(self.outputs)} of this halo model {verb} negative"


def features(theta: Any, f: Any = np) -> Any:
    """Return the inputs of the network, named `FEATURES`, shape (N, P).

    Args:
        theta: Points, columns ``parameters_of("linke22")``, physical units, shape (N, P).
        f: Array module with numpy's functions, such as ``jax.numpy``.
    """
    columns = [theta[:, i] for i in range(len(FEATURES))]
    columns[_MTH] = f.log(columns[_MTH])
    columns[_MPRIME] = columns[_BETA] * (columns[_MTH] - f.log(columns[_MPRIME]))
    return f.stack(columns, 1)
