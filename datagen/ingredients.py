"""The fits for haloes by pyccl's names: for which masses each is made, and which go together."""

__all__ = [
    "CONCENTRATIONS",
    "HALO_BIASES",
    "MASS_DEFINITIONS",
    "MASS_FUNCTIONS",
    "PARTNERS",
    "check_partners",
]

MASS_DEFINITIONS: tuple[str, ...] = ("200m", "200c", "500c", "vir")

# Fits of haloes that friends-of-friends groups, or of the theory's virialised spheres. pyccl calls
# their masses fof; spheres of 200 times the mean density, or of the virial one, are the nearest.
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


def check_partners(mass_function: str, halo_bias: str) -> None:
    """Refuse a bias that does not belong to the mass function.

    Raises:
        ValueError: Such a pair.
    """
    if halo_bias not in PARTNERS[mass_function]:
        partners = [name for name, biases in PARTNERS.items() if halo_bias in biases]
        raise ValueError(
            f"halo_bias = {halo_bias!r} is no partner of mass_function = {mass_function!r}, which "
            f"takes {' or '.join(PARTNERS[mass_function])}; it belongs to {', '.join(partners)}"
        )
