"""Best fits with gradients, by L-BFGS-B. It needs JAX, and is imported on request only."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from benchmarks.posterior.chains import WORST, Target
from benchmarks.posterior.sampling import Best, minimum

__all__ = ["Gradient", "climb"]

Array = NDArray[np.float64]

_LOOKED_AT = 256  # random points of a search
_CLIMBED = 4  # best of them, from which the search climbs


class Gradient:
    """ln P of one point of the unit cube with its gradient, compiled once.

    Args:
        ln: ln P as a function of JAX, of a point (F,).

    Attributes:
        evaluations: Number of points evaluated so far.
    """

    def __init__(self, ln: Callable[[Any], Any]) -> None:
        self._call, self.evaluations = jax.jit(jax.value_and_grad(ln)), 0

    def __call__(self, unit: Array) -> tuple[float, Array]:
        """Return ln P and its gradient (F,); -inf and zeros at invalid points."""
        with jax.enable_x64(True):
            value, slope = self._call(np.asarray(unit, np.float64))
        self.evaluations += 1
        if not (np.isfinite(value) and np.isfinite(slope).all()):
            return -np.inf, np.zeros(len(unit))
        return float(value), np.array(slope)

    def cost(self, unit: Array) -> tuple[float, Array]:
        """Return -2 ln P and its gradient, for scipy's minimisers."""
        value, slope = self(unit)
        return min(-2 * value, WORST), -2 * slope

    def potential(self, z: Array) -> tuple[float, Array]:
        """Return the potential of NUTS, -ln P of the arguments of sigmoids (F,), and its slope."""
        unit = expit(z)
        value, slope = self(unit)
        jacobian = -np.logaddexp(0, -z) - np.logaddexp(0, z)
        return min(-value - jacobian.sum(), WORST), -slope * unit * (1 - unit) - (1 - 2 * unit)


def climb(target: Target, gradient: Gradient, number: int, seed: int) -> Best:
    """Find the highest point of a density on the unit cube.

    L-BFGS-B (Byrd et al. 1995, SIAM J. Sci. Comput. 16, 1190) climbs from the best of some random
    points.

    Args:
        target: The density.
        gradient: Its gradient.
        number: Number of parameters F.
        seed: Seed of the random numbers.
    """
    before = gradient.evaluations
    unit = np.random.default_rng(seed).uniform(size=(_LOOKED_AT, number))
    costs = target.cost(unit.T)
    ends = [
        minimum(gradient.cost, unit[i], [(0.0, 1.0)] * number) for i in np.argsort(costs)[:_CLIMBED]
    ]
    at, cost = min(ends, key=lambda end: end[1])
    return Best(at, cost, _LOOKED_AT + gradient.evaluations - before, "gradients")
