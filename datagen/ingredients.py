"""The fits for haloes by pyccl's names: for which masses each is made, and which go together."""

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

# Fits of haloes that friends-of-friends groups, or of the theory's virialised spheres. pyccl calls
# their masses fof; spheres of 200 times the mean density, or of the virial one, are the nearest.
_ROUNDING = 1e-9
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
    "Watson13": ("200m",),  # of multiples of the mean density; pyccl takes 200c for the same
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
# Biases that belong to a mass function, the first one foremost: those of the same kind of haloes
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
# Densities of haloes [mean matter density] that a mass function's table covers, where it has one
DENSITIES: dict[str, tuple[float, float]] = {
    "Tinker08": (200.0, 3200.0),
    "Tinker10": (200.0, 3200.0),
}


def check_fit(kind: str, name: str, mass_def: str, known: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse a fit that there is not, or not for the definition of the halo mass.

    Args:
        kind: One of `KINDS`.
        name: The fit's.
        mass_def: One of `MASS_DEFINITIONS`; empty leaves the fit at its own.
        known: Fits, and the definitions that each has a fit for.

    Raises:
        ValueError: Such a fit; the message names those that there are.
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
    """Refuse a bias that does not belong to the mass function.

    Raises:
        ValueError: Such a pair.
    """
    biases = PARTNERS.get(mass_function, ())
    if halo_bias not in biases:
        partners = [name for name, names in PARTNERS.items() if halo_bias in names]
        raise ValueError(
            f"halo_bias = {halo_bias!r} is no partner of mass_function = {mass_function!r}, which "
            f"takes {' or '.join(biases) or 'none'}; it belongs to {', '.join(partners) or 'none'}"
        )


def combinations() -> list[tuple[str, str, str, str]]:
    """All (mass function, bias, concentration, definition of the mass) that labels can be of."""
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
    """Mean density of haloes in units of the mean matter density.

    Args:
        mass_def: ``200m`` and its like count in the mean matter density, ``200c`` in the critical
            one, ``vir`` is Bryan and Norman's (1998, eq. 6) virial density.
        Om_m: Matter's share of the density, Om_m(z).
    """
    if mass_def == "vir":
        x = Om_m - 1
        return (18 * math.pi**2 + 82 * x - 39 * x**2) / Om_m
    number = float(mass_def[:-1])
    return number if mass_def.endswith("m") else number / Om_m


def check_densities(mass_function: str, mass_def: str, Om_m: tuple[float, float]) -> None:
    """Refuse cosmologies whose haloes are denser, or less dense, than a mass function covers.

    Args:
        mass_function: Its name.
        mass_def: Definition of the halo mass.
        Om_m: Smallest and largest share of matter, Om_m(z), that are to be served.

    Raises:
        ValueError: Haloes beyond `DENSITIES`.
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
