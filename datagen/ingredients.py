"""Mass functions, halo biases and concentrations by pyccl's names: mass definitions and pairs."""

import math
from collections.abc import Mapping

__all__ = [
    "CONCENTRATIONS",
    "DENSITIES",
    "HALO_BIASES",
    "KINDS",
    "MASS_DEFINITIONS",
    "MASS_FUNCTIONS",
    "PARTNERS",
    "check_densities",
    "check_fit",
    "check_partners",
    "combinations",
    "density",
]

MASS_DEFINITIONS: tuple[str, ...] = ("200m", "200c", "500c", "vir")

_ROUNDING = 1e-9
# For fits to friends-of-friends groups and for the virialised haloes of the theory, which pyccl
# calls fof: the nearest spherical overdensities are 200 times the mean density and the virial one.
_GROUPS = ("200m", "vir")
_SPHERES = MASS_DEFINITIONS

MASS_FUNCTIONS: dict[str, tuple[str, ...]] = {
    "Angulo12": _GROUPS,
    "Bocquet16": ("200m", "200c", "500c"),
    "Despali16": _SPHERES,
    "Jenkins01": _GROUPS,
    "Press74": _GROUPS,
    "Sheth99": _GROUPS,
    "Tinker08": _SPHERES,
    "Tinker10": _SPHERES,
    "Watson13": ("200m",),  # fitted in multiples of the mean density; pyccl treats 200c as 200m
}
HALO_BIASES: dict[str, tuple[str, ...]] = {
    "Bhattacharya11": _GROUPS,
    "Sheth01": _GROUPS,
    "Sheth99": _GROUPS,
    "Tinker10": _SPHERES,
}
CONCENTRATIONS: dict[str, tuple[str, ...]] = {
    "Bhattacharya13": ("200m", "200c", "vir"),
    "Constant": _SPHERES,
    "Diemer15": ("200c",),
    "Duffy08": ("200m", "200c", "vir"),
    "Ishiyama21": ("200c", "500c", "vir"),
    "Klypin11": ("vir",),
    "Prada12": ("200c",),
}

_OF_GROUPS = ("Sheth01", "Sheth99", "Bhattacharya11")
# Biases that may be combined with a mass function, for the same kind of haloes; preferred first
PARTNERS: dict[str, tuple[str, ...]] = {
    "Angulo12": _OF_GROUPS,
    "Bocquet16": ("Tinker10",),
    "Despali16": ("Tinker10", "Sheth01", "Sheth99"),  # spheres, in Sheth and Tormen's form
    "Jenkins01": _OF_GROUPS,
    "Press74": _OF_GROUPS,
    "Sheth99": _OF_GROUPS,
    "Tinker08": ("Tinker10",),
    "Tinker10": ("Tinker10",),
    "Watson13": ("Tinker10",),
}


KINDS: dict[str, dict[str, tuple[str, ...]]] = {
    "mass_function": MASS_FUNCTIONS,
    "halo_bias": HALO_BIASES,
    "concentration": CONCENTRATIONS,
}
# Halo densities [mean matter density] covered by mass functions that are tables of the density
DENSITIES: dict[str, tuple[float, float]] = {
    "Tinker08": (200.0, 3200.0),
    "Tinker10": (200.0, 3200.0),
}


def check_fit(kind: str, name: str, mass_def: str, known: Mapping[str, tuple[str, ...]]) -> None:
    """Check that a fit exists for a definition of the halo mass.

    Args:
        kind: One of `KINDS`.
        name: Name of the fit.
        mass_def: One of `MASS_DEFINITIONS`; empty for the fit's own default.
        known: Mass definitions of each known fit, by its name.

    Raises:
        ValueError: Fit or mass definition are unknown, or do not go together; the message lists
            the alternatives.
    """
    if name not in known:
        raise ValueError(f"{kind} = {name!r} must be one of {', '.join(sorted(known))}")
    if mass_def and mass_def not in MASS_DEFINITIONS:
        raise ValueError(f"mass_def = {mass_def!r} must be one of {', '.join(MASS_DEFINITIONS)}")
    if mass_def and mass_def not in known[name]:
        raise ValueError(
            f"{kind} = {name!r} has no fit for mass_def = {mass_def!r}; it has one for "
            f"{', '.join(known[name])}"
        )


def check_partners(mass_function: str, halo_bias: str) -> None:
    """Check that a halo bias may be combined with a mass function, according to `PARTNERS`.

    Raises:
        ValueError: The bias does not belong to the mass function.
    """
    biases = PARTNERS.get(mass_function, ())
    if halo_bias not in biases:
        partners = [name for name, names in PARTNERS.items() if halo_bias in names]
        raise ValueError(
            f"halo_bias = {halo_bias!r} does not go with mass_function = {mass_function!r}, which "
            f"takes {' or '.join(biases) or 'none'}; it belongs to {', '.join(partners) or 'none'}"
        )


def combinations() -> list[tuple[str, str, str, str]]:
    """Return all valid (mass function, halo bias, concentration, mass definition)."""
    return [
        (mass_function, halo_bias, concentration, mass_def)
        for mass_function, halo_biases in PARTNERS.items()
        for mass_def in MASS_FUNCTIONS[mass_function]
        for halo_bias in halo_biases
        if mass_def in HALO_BIASES[halo_bias]
        for concentration, mass_defs in CONCENTRATIONS.items()
        if mass_def in mass_defs
    ]


def density(mass_def: str, Om_m: float) -> float:
    """Return the mean density of haloes in units of the mean matter density.

    Args:
        mass_def: ``200m`` is a multiple of the mean matter density, ``200c`` of the critical
            density, ``vir`` the virial density of Bryan & Norman 1998 (ApJ 495, 80), eq. 6.
        Om_m: Matter density parameter Om_m(z).
    """
    if mass_def == "vir":
        x = Om_m - 1
        return (18 * math.pi**2 + 82 * x - 39 * x**2) / Om_m
    number = float(mass_def[:-1])
    return number if mass_def.endswith("m") else number / Om_m


def check_densities(mass_function: str, mass_def: str, Om_m: tuple[float, float]) -> None:
    """Check that halo densities lie within the range of a mass function.

    Args:
        mass_function: Name of the mass function.
        mass_def: Definition of the halo mass.
        Om_m: Smallest and largest Om_m(z) of the parameter space.

    Raises:
        ValueError: The density of haloes is outside of `DENSITIES`.
    """
    low, high = DENSITIES.get(mass_function, (0.0, math.inf))
    for share in Om_m:
        found = density(mass_def, share)
        if not low * (1 - _ROUNDING) <= found <= high * (1 + _ROUNDING):
            raise ValueError(
                f"mass_function = {mass_function!r} is fitted for haloes of {low:g} to {high:g} "
                f"times the mean matter density, and mass_def = {mass_def!r} has {found:.4g} where "
                f"Om_m(z) = {share:.4g}; choose another, or narrow the space"
            )
