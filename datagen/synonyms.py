"""Parameter names of other codes and their equivalents, for messages about unknown names."""

from collections.abc import Collection

from datagen.messages import did_you_mean
from datagen.occupations import OCCUPATIONS

__all__ = ["hint"]

_DENSITIES = "Om_c and Om_b, the densities of dark matter and of baryons over the critical one"
_AMPLITUDE = "sigma_8, which goes with the square root of A_s"
_WIDTH = "sigma_logM, a width in log10 M: 1 / ln 10 of one in ln M"
# equivalents by name, in lower case without _ and blanks
_INSTEAD = {
    "omegam": _DENSITIES,
    "om": _DENSITIES,
    "omm": _DENSITIES,
    "omegam0": _DENSITIES,
    "omegamatter": _DENSITIES,
    "om0": _DENSITIES,
    "omegac": "Om_c",
    "omegacdm": "Om_c",
    "omegab": "Om_b",
    "ob": "Om_b",
    "ob0": "Om_b",
    "omch2": "Om_c = omch2 / h^2",
    "ombh2": "Om_b = ombh2 / h^2",
    "omegach2": "Om_c = omega_c / h^2",
    "omegabh2": "Om_b = omega_b / h^2",
    "h0": "h = H0 / 100",
    "hubble": "h = H0 / 100",
    "s8": "sigma_8 = S8 / sqrt((Om_c + Om_b) / 0.3)",
    "as": _AMPLITUDE,
    "logas": _AMPLITUDE,
    "ln1010as": _AMPLITUDE,
    "w": "w0",
    "w0fld": "w0",
    "wafld": "wa",
    "redshift": "z",
    "a": "z = 1 / a - 1",
    "mnu": "nothing: neutrinos have no mass here",
    "omegak": "nothing: space is flat here",
    "ok": "nothing: space is flat here",
    "logmmin": "log10Mmin",
    "logm0": "log10M0",
    "logm1": "log10M1",
    "logmcut": "log10M0",
    "siglogm": "sigma_logM",
    "siglnm": _WIDTH,
    "sigmalnm": _WIDTH,
    "sigmalogm": "sigma_logM",
}


def hint(name: object, known: Collection[str]) -> str:
    """Return a hint for an unknown parameter.

    Args:
        name: Unknown name.
        known: Names of the known parameters.

    Returns:
        The hint in brackets with a leading space; empty if there is none.
    """
    instead = _INSTEAD.get(str(name).lower().replace("_", "").replace(" ", ""), "")
    if instead and (instead.split(" ")[0].strip(",:") in {*known, "nothing"}):
        return f" (give {instead})"
    owners = [
        label
        for label, one in OCCUPATIONS.items()
        if any(parameter.name == name for parameter in one.parameters)
    ]
    if owners:
        return f" (of the occupation {' or '.join(owners[:3])}: choose it with occupation=)"
    return did_you_mean(name, known)
