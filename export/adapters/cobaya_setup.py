"""What can be said of a whole input of Cobaya before it runs: ranges and physics."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from cobaya.log import LoggedError
from cobaya.model import Model
from cobaya.theories.cosmo import BoltzmannBase
from cobaya.theory import Theory
from numpy.typing import NDArray

from export.adapters.cobaya_inputs import Inputs
from export.adapters.cobaya_names import NAMES
from export.adapters.common import words
from export.adapters.physics import shown
from export.ranges import Parameter, is_inside

__all__ = ["check_setup"]

_DRAWS = 1000
_DEFAULTS = {"CAMB": {"mnu": 0.06}}  # physics that a code has unless it is told otherwise
_SWITCHES = ("external_primordial_pk",)  # options of Cobaya's theories that are physics


def check_setup(
    theory: Theory, model: Model, parameters: tuple[Parameter, ...], inputs: Inputs
) -> None:
    """Hold an input of Cobaya against what an emulator knows.

    Args:
        theory: The emulator's theory, with the option ``ignore``.
        model: Of the whole input.
        parameters: The emulator's inputs.
        inputs: Under which names they come.

    Raises:
        LoggedError: No point of the prior is in a range; physics that the emulator does not know.
    """
    draws = _draws(model)
    try:
        points = inputs.point(draws)
    except ValueError as error:
        raise LoggedError(theory.log, "%s", error) from error
    ignored = {*words(theory.ignore), *inputs.supported}
    for given in ({n: v for n, v in draws.items() if n in NAMES}, *_told(model, draws)):
        for line in NAMES.refused({n: v for n, v in given.items() if n not in ignored}, points):
            raise LoggedError(theory.log, "%s", line)
    _check_ranges(theory, parameters, points)


def _draws(model: Model) -> dict[str, NDArray[np.float64]]:
    """All parameters at points of the prior (constants among them), by name."""
    rng = np.random.default_rng(0)
    points = model.prior.sample(_DRAWS, ignore_external=True, random_state=rng)
    if not model.parameterization.sampled_params():
        points = np.empty((1, 0))
    names = list(model.parameterization.sampled_params())
    with np.errstate(all="ignore"):
        rows = [
            dict(model.parameterization.to_input(dict(zip(names, point.tolist(), strict=True))))
            for point in points
        ]
    return {name: np.array([row[name] for row in rows], np.float64) for name in rows[0]}


def _told(model: Model, draws: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All that CAMB or CLASS are told, parameters and arguments, for each of them."""
    for name, component in model.theory.items():
        if isinstance(component, BoltzmannBase):
            info = model.info()["theory"][name]
            given = dict(_DEFAULTS.get(type(component).__name__, {}))
            given |= {n: info[n] for n in _SWITCHES if n in info}
            given |= info.get("extra_args") or {}
            inputs = component.get_attr_list_with_helpers("input_params")
            yield given | {n: draws[n] for n in inputs if n in draws}


def _check_ranges(
    theory: Theory, parameters: tuple[Parameter, ...], points: dict[str, Any]
) -> None:
    """Refuse a parameter that is never in its range; say of others how often they are not."""
    for p in parameters:
        values = points.get(p.name, p.low)  # else from another theory
        inside = is_inside(values, p.low, p.high)
        if not inside.any():
            raise LoggedError(
                theory.log,
                "%s = %s is outside the trained range %s everywhere in the prior",
                p.name,
                shown(points[p.name]),
                p.limits,
            )
        if not inside.all():
            share = 100 * (1 - inside.mean())
            theory.log.info(
                "%s is outside the trained range %s in %.0f %% of the prior, where there is no "
                "likelihood", p.name, p.limits, share,
            )  # fmt: skip
