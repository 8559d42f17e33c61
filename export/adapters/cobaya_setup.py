"""Checks of a whole input of Cobaya before it runs: ranges and physics."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from cobaya.log import LoggedError
from cobaya.model import Model
from cobaya.theories.cosmo import BoltzmannBase
from cobaya.theory import Theory
from numpy.typing import NDArray

from datagen.space import parameters_of
from export.adapters.cobaya_inputs import Inputs
from export.adapters.cobaya_names import NAMES, SOURCES
from export.adapters.common import centre, words
from export.adapters.physics import shown
from export.ranges import OutOfRange, is_inside
from export.runtime import OnnxEmulator

__all__ = ["check_setup"]

_DRAWS = 1000
_ENOUGH = 50  # draws without any answer that stop the run
_DEFAULTS = {"CAMB": {"mnu": 0.06}}  # physics of a code by default
_SWITCHES = ("external_primordial_pk",)  # options of Cobaya's theories that change the physics


def check_setup(
    theory: Theory, model: Model, emulator: OnnxEmulator, inputs: Inputs, unsaid: dict[str, float]
) -> dict[str, Any]:
    """Check an input of Cobaya against the ranges and the physics of an emulator.

    Args:
        theory: The emulator's theory, with the option ``ignore``.
        model: Model of the whole input.
        emulator: The emulator.
        inputs: Names of its inputs.
        unsaid: Values of inputs that may be omitted.

    Returns:
        The emulator's inputs at points of the prior, without those that other codes derive.

    Raises:
        LoggedError: A prior outside the domain of the emulator; physics that the emulator does not
            include.
    """
    draws = _draws(model)
    try:
        points = unsaid | inputs.point(draws)
    except ValueError as error:
        raise LoggedError(theory.log, "%s", error) from error
    compared = {*inputs.supported, *SOURCES, *(name for each in SOURCES.values() for name in each)}
    galaxies = {theory.renames.get(p.name, p.name) for p in emulator.parameters if p.is_occupation}
    ignored = {*words(theory.ignore)}
    codes = {"": {n: v for n, v in draws.items() if n in NAMES}, **_told(model, draws)}
    for code, told in codes.items():
        # a parameter of galaxies may share its name with a parameter of another code
        known = ignored | (compared - galaxies if code else compared)
        for line in NAMES.refused({n: v for n, v in told.items() if n not in known}, points):
            if (name := line.partition(" ")[0]) in galaxies:
                line += f"; {code} takes {name} of the galaxies: use 'renames' for it"
            raise LoggedError(theory.log, "%s", line)
        for line in inputs.contradicted(points, told):
            raise LoggedError(theory.log, "%s: %s", code, line)
    inside = _check_ranges(theory, emulator, points)
    _check_answers(theory, emulator, points, inside)
    return points


def _draws(model: Model) -> dict[str, NDArray[np.float64]]:
    """All parameters at points of the prior, constants included, by name."""
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


def _told(model: Model, draws: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Parameters and arguments of CAMB and CLASS, by name of the theory."""
    codes = {}
    for name, component in model.theory.items():
        if isinstance(component, BoltzmannBase):
            info = model.info()["theory"][name]
            given = dict(_DEFAULTS.get(type(component).__name__, {}))
            given |= {n: info[n] for n in _SWITCHES if n in info}
            given |= info.get("extra_args") or {}
            inputs = component.get_attr_list_with_helpers("input_params")
            given |= {n: draws[n] for n in inputs if n in draws}
            codes[name] = _with_dark_energy(given)
    return codes


def _with_dark_energy(told: dict[str, Any]) -> dict[str, Any]:
    """Settings of a code, with its default, a cosmological constant, where none is given."""
    natural = {name: parameters_of()[name].default for name in ("w0", "wa")}
    unsaid = {n: w for n, w in natural.items() if not told.keys() & {n, *SOURCES[n]}}
    return told | unsaid


def _check_ranges(
    theory: Theory, emulator: OnnxEmulator, points: Mapping[str, Any]
) -> NDArray[np.bool_]:
    """Raise an error if a parameter is never in its range; log how often it is not.

    Returns:
        Whether all known parameters of each point are in their ranges.
    """
    everywhere: NDArray[Any] = np.ones(1, np.bool_)
    for p in emulator.parameters:
        inside = is_inside(points.get(p.name, p.low), p.low, p.high)  # absent: of another theory
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
        everywhere = np.logical_and(everywhere, inside)
    return everywhere


def _check_answers(
    theory: Theory, emulator: OnnxEmulator, points: Mapping[str, Any], inside: NDArray[np.bool_]
) -> None:
    """Raise an error if a prior lies within the ranges, but outside the emulator's domains."""
    if not inside.any():
        return
    tried = centre(emulator) | {
        name: np.broadcast_to(values, inside.shape)[inside] for name, values in points.items()
    }
    answered = emulator.is_inside(tried)
    if answered.all():
        return
    row = np.argmin(answered)
    first = {name: np.broadcast_to(each, answered.shape)[row] for name, each in tried.items()}
    try:
        emulator(first, emulator.outputs[0])
    except OutOfRange as error:
        reason = str(error).removeprefix("row 0 ")
        if not answered.any() and (inside.size == 1 or answered.size >= _ENOUGH):
            raise LoggedError(theory.log, "the whole prior %s", reason) from error
        theory.log.info("%.0f %% of the prior %s", 100 * (1 - answered.mean()), reason)
