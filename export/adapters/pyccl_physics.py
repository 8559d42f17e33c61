"""Checks of a pyccl cosmology against the physics of the emulators."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyccl

from datagen.ccl import KEYS, camb_cosmology
from datagen.messages import shortened
from export.adapters.physics import FIXED, only

__all__ = ["check_physics", "cosmology_of"]

# Attributes that spectra of the halo model do not depend on, and the reasons
_NEUTRAL = {
    "sigma8": "compared as the emulator's input",
    "A_s": "the amplitude's other name",
    "mass_split": "of massive neutrinos, and m_nu is compared",
    "T_ncdm": "of massive neutrinos, and m_nu is compared",
    "matter_power_spectrum": "the host's non-linear matter power, which the halo model replaces",
    "nl_pk_emu": "the same",
    "pk_nonlin": "the same",
    "nonlinear_model": "the same",
    "baryons": "compared as baryonic_effects",
}
# Numerical settings of a Boltzmann code: they agree with those of the labels to 1e-3
_TRANSFER = ("boltzmann_camb", "boltzmann_class", "calculator")  # for which pk_linear is compared
_SETTINGS = {"kmax", "lmax", "AccuracyTarget", "halofit_version", "dark_energy_model"}


def cosmology_of(cosmo: pyccl.Cosmology, names: tuple[str, ...], ours: type) -> dict[str, float]:
    """Return an emulator's cosmological inputs, after a check of all other physics.

    Args:
        cosmo: A pyccl cosmology.
        names: Names of the emulator's inputs.
        ours: Class of our emulators, which may be the cosmology's own linear power.

    Raises:
        TypeError: A cosmology of another library.
        ValueError: Physics that the emulators do not include, by name.
    """
    if not isinstance(cosmo, pyccl.Cosmology):
        raise TypeError(f"{cosmo!r} must be a pyccl.Cosmology")
    inputs = {ours: theirs for ours, theirs in KEYS.items() if ours in names}
    point = {ours: float(cosmo[theirs]) for ours, theirs in inputs.items()}
    amplitude_is_A_s = not np.isfinite(cosmo["sigma8"])
    trial = point | {"sigma_8": 0.8} if amplitude_is_A_s else point
    check_physics(cosmo, camb_cosmology(trial), ours)
    if amplitude_is_A_s:
        if cosmo.transfer_function_type in ("calculator", "emulator"):
            raise ValueError("A_s: this cosmology cannot compute sigma8; give sigma8 instead")
        point["sigma_8"] = float(cosmo.sigma8())  # from pyccl's own linear power
    return point


def check_physics(cosmo: pyccl.Cosmology, labels: pyccl.Cosmology, ours: type) -> None:
    """Compare all defining entries of a cosmology with those of the labels.

    Args:
        cosmo: The cosmology.
        labels: A cosmology made as for the labels.
        ours: Class of our emulators.

    Raises:
        ValueError: An entry that differs, by name.
    """
    host, known = _definition(cosmo), _definition(labels)
    for name in sorted(host.keys() | known.keys()):
        value, expected = host.get(name), known.get(name)
        if name == "Omega_g" and value is not None:  # else it follows from T_CMB
            expected = labels["Omega_g"]
        if not isinstance(value, ours) and not _agree(name, value, expected):
            raise ValueError(
                f"{name} = {_shown(value)}: {only(name, _shown(expected))}; to go without it, "
                f"leave {name} out of the cosmology that HaloModelPk is given"
            )


def _definition(cosmo: pyccl.Cosmology) -> dict[str, Any]:
    """Entries that define a cosmology, by names of arguments.

    They are read from the attributes that pyccl itself compares for equality, so none is missed.
    """
    entries: dict[str, Any] = {}
    for name in type(cosmo).__eq_attrs__:
        value = getattr(cosmo, name)
        if name != "_accuracy_params":  # settings of pyccl's splines and integrals
            entries |= value if isinstance(value, Mapping) else {name: value}
    entries.pop("mg_parametrization", None)  # None, or the same as the attribute
    entries |= vars(cosmo.mg_parametrization)
    extra = entries.pop("extra_parameters", None) or {}
    for code, options in extra.items():
        for option, value in options.items() if isinstance(options, Mapping) else [("", options)]:
            entries[f"extra_parameters.{code}.{option}".rstrip(".")] = value
    for name in FIXED:  # resolves None, and masses too small to matter
        entries[name] = cosmo[name]
    return entries


def _agree(name: str, value: Any, expected: Any) -> bool:
    option = name.removeprefix("extra_parameters.camb.")
    if name in _NEUTRAL or (option != name and option in _SETTINGS):
        return option != "halofit_version" or "feedback" not in str(value)  # includes baryons
    if name == "transfer_function":
        return value in _TRANSFER
    if name in FIXED:
        value, expected = np.sum(value), np.sum(expected)  # m_nu may be a list, or empty
        return bool(abs(value - expected) <= FIXED[name].tolerance)
    if isinstance(value, (int, float)) and isinstance(expected, (int, float)):
        # Omega_g scales as T_CMB^4, with a corresponding tolerance
        return bool(np.isclose(value, expected, rtol=1e-3 if name == "Omega_g" else 1e-9))
    return bool(value is expected or (type(value) is type(expected) and value == expected))


def _shown(value: Any) -> Any:
    """A value for a message."""
    if value is None or isinstance(value, (int, float)):
        return value if value is None else f"{value:g}"
    if isinstance(value, list):
        return f"{np.sum(value):g}"
    return shortened("given" if isinstance(value, dict) else str(value), 60)
