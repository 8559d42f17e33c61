"""Translate parameters of other codes to parameters of the occupations of this package.

Each function takes parameters with the names, units and conventions of another code, and returns
the name of an occupation and its parameters, with masses in Msun without h. Values may be numbers
or arrays. Names that the code does not have raise an error, and so do values without an
equivalent here, such as assembly bias.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from datagen.messages import did_you_mean
from datagen.occupations import occupation
from datagen.occupations.functions import LN_10

__all__ = [
    "Translation",
    "from_abacus",
    "from_aum",
    "from_dark_emulator",
    "from_h",
    "from_halomod",
    "from_halotools",
    "from_pyccl",
    "linke22_threshold",
    "zheng07_threshold",
]


class Translation(NamedTuple):
    """An occupation and values of its parameters.

    Attributes:
        occupation: Name of the occupation.
        parameters: Values of all its parameters, by name.
    """

    occupation: str
    parameters: dict[str, Any]


def from_h(name: str, parameters: Mapping[str, Any], h: float, theirs: float = 1.0) -> Translation:
    """Convert masses in Msun/h, or in Msun for another Hubble constant, to Msun.

    Halo masses scale as 1 / h and stellar masses as 1 / h^2. Fixed pivot masses of an occupation,
    10^12 or 10^13 Msun, are taken to be in the unit of the other masses; parameters that depend
    on a pivot are converted accordingly.

    Args:
        name: Name of the occupation.
        parameters: All parameters of the occupation. Halo masses in Msun/h and stellar masses in
            Msun/h^2, or both in Msun for the Hubble constant ``theirs``.
        h: Hubble constant [100 km/s/Mpc].
        theirs: Hubble constant of the masses [100 km/s/Mpc]: 1 for Msun/h; often 0.72 or 0.7 if a
            paper has Msun.

    Raises:
        ValueError: The occupation or a parameter is unknown, a parameter is missing, or h is not
            in (0.1, 3).

    Example:
        >>> hod = {"log10Mmin": 12.0, "log10M1": 13.0, "alpha": 1.0}
        >>> round(from_h("zehavi05", hod, h=0.7).parameters["log10Mmin"], 3)
        12.155
    """
    names = [p.name for p in occupation(name).parameters]
    ours = _known(f"the occupation {name}", parameters, names)
    ratio = theirs / _hubble(h)
    for p in occupation(name).parameters:
        if p.name.startswith("log10M"):
            power = 2 if p.name.startswith("log10M_star") else 1
            ours[p.name] = ours[p.name] + power * math.log10(ratio)
        elif p.unit == "Msun":
            ours[p.name] = ours[p.name] * ratio
    for which in ("sat", "cut") if name == "leauthaud11" else ():
        ours[f"B_{which}"] = ours[f"B_{which}"] * ratio ** (1 - ours[f"beta_{which}"])
    if "b1" in ours:  # log10 phi = b0 + b1 X + b2 X^2, X from 10^13 of their unit
        shift, b2 = -math.log10(ratio), ours.get("b2", 0.0)
        ours["b0"] = ours["b0"] + (ours["b1"] + b2 * shift) * shift
        ours["b1"] = ours["b1"] + 2 * b2 * shift
    return Translation(name, ours)


def from_pyccl(parameters: Mapping[str, Any], z: float = 0.0) -> Translation:
    """Translate parameters of the Core Cosmology Library (`pyccl.halos.HaloProfileHOD`).

    There, ``<N_c> = f_c [1 + erf(ln(M / Mmin) / siglnM)] / 2``, with the natural logarithm and no
    factor sqrt(2); satellites are those of zheng07. Masses are in Msun. Parameters depend on the
    scale factor a as ``X_0 + X_p (a - a_pivot)``.

    Args:
        parameters: ``log10Mmin_0``, ``siglnM_0``, ``log10M0_0``, ``log10M1_0`` and ``alpha_0``;
            optionally ``fc_0`` (default 1), changes ``..._p`` (default 0), ``a_pivot`` (default 1)
            and ``ns_independent`` (default False). ``bg_0`` and ``bmax_0`` must be 1, since
            satellites follow the profile of matter here.
        z: Redshift.

    Returns:
        Parameters of zheng07; of ccl if fc is not 1; of zheng05 for ``ns_independent``.

    Raises:
        ValueError: A parameter is unknown or missing, or has no equivalent here.
    """
    needed = [f"{x}_0" for x in ("log10Mmin", "siglnM", "log10M0", "log10M1", "alpha")]
    changes = {f"{name[:-2]}_p": 0.0 for name in (*needed, "fc_0")}
    neutral = {"bg_0": 1.0, "bmax_0": 1.0, "bg_p": 0.0, "bmax_p": 0.0}
    other = {"fc_0": 1.0, "a_pivot": 1.0, "ns_independent": False, "is_number_counts": True}
    given = _known("pyccl", parameters, needed, changes | other, neutral)
    late = 1 / (1 + z) - given["a_pivot"]
    now = {name[:-2]: given[name] + given[f"{name[:-2]}_p"] * late for name in (*needed, "fc_0")}
    ours = {
        "log10Mmin": now["log10Mmin"],
        "sigma_logM": now["siglnM"] / LN_10,
        "log10M0": now["log10M0"],
        "log10M1": now["log10M1"],
        "alpha": now["alpha"],
    }
    complete = bool(np.all(now["fc"] == 1))
    if given["ns_independent"]:
        if not complete:
            raise ValueError("no occupation here has both ns_independent and fc other than 1")
        return Translation("zheng05", ours)
    return (
        Translation("zheng07", ours) if complete else Translation("ccl", ours | {"f_c": now["fc"]})
    )


def from_halotools(
    parameters: Mapping[str, Any], h: float, modulate_with_cenocc: bool = False
) -> Translation:
    """Translate parameters of halotools' ``zheng07`` (`Zheng07Cens`, `Zheng07Sats`).

    Masses are in Msun/h. By default satellites are independent of centrals: ``<N_s> =
    [(M - M0) / M1]^alpha``, without the factor ``<N_c>`` of Zheng et al. 2007. Mock catalogues of
    halotools draw satellites independently of centrals in either case; for
    ``modulate_with_cenocc``, the pairs are those of the paper instead.

    Args:
        parameters: ``logMmin``, ``sigma_logM``, ``logM0``, ``logM1``, ``alpha``.
        h: Hubble constant [100 km/s/Mpc].
        modulate_with_cenocc: The argument of halotools with which the model was built.

    Returns:
        Parameters of zheng05; of zheng07 for ``modulate_with_cenocc``.

    Raises:
        ValueError: A parameter is unknown or missing, or h is not in (0.1, 3).
    """
    names = {"logMmin": "log10Mmin", "sigma_logM": "sigma_logM", "logM0": "log10M0"}
    names |= {"logM1": "log10M1", "alpha": "alpha"}
    given = _known("halotools", parameters, names)
    ours = {names[name]: value for name, value in given.items()}
    return from_h("zheng07" if modulate_with_cenocc else "zheng05", ours, h)


def from_halomod(parameters: Mapping[str, Any], h: float, central: bool = False) -> Translation:
    """Translate parameters of halomod's ``Zheng05``.

    ``M_min``, ``M_0`` and ``M_1`` are log10 of masses in Msun/h.

    Args:
        parameters: ``M_min``, ``sig_logm``, ``M_0``, ``M_1``, ``alpha``.
        h: Hubble constant [100 km/s/Mpc].
        central: Whether only haloes with a central galaxy have satellites; False by default, as in
            halomod.

    Returns:
        Parameters of zheng05; of zheng07 for ``central``.

    Raises:
        ValueError: A parameter is unknown or missing, or h is not in (0.1, 3).
    """
    names = {"M_min": "log10Mmin", "sig_logm": "sigma_logM", "M_0": "log10M0"}
    names |= {"M_1": "log10M1", "alpha": "alpha"}
    given = _known("halomod", parameters, names)
    ours = {names[name]: value for name, value in given.items()}
    return from_h("zheng07" if central else "zheng05", ours, h)


def from_aum(parameters: Mapping[str, Any], h: float) -> Translation:
    """Translate parameters of AUM (`hodpars` and `set_inc_params`), in its default build.

    ``Mmin``, ``Mcut`` and ``Msat`` are log10 of masses in Msun/h. Galaxy pairs agree with more15
    after ``setMiyatake21_switch(True)``; otherwise AUM has ``<N_c N_s> = <N_c> <N_s>``.

    Args:
        parameters: ``Mmin``, ``siglogM``, ``Msat``, ``alpsat``, ``Mcut``; optionally ``inc_alp``
            (default 0) and ``inc_xM`` (default 12). ``csbycdm`` must be 1, since satellites follow
            the profile of matter here; ``fac``, which AUM does not use, is ignored.
        h: Hubble constant [100 km/s/Mpc].

    Returns:
        Parameters of more15.

    Raises:
        ValueError: A parameter is unknown or missing, or has no equivalent here; h is not in
            (0.1, 3).
    """
    needed = ("Mmin", "siglogM", "Msat", "alpsat", "Mcut")
    other = {"inc_alp": 0.0, "inc_xM": 12.0, "fac": 1.0}
    given = _known("AUM", parameters, needed, other, {"csbycdm": 1.0})
    ours = {
        "log10Mmin": given["Mmin"],
        "sigma_logM": given["siglogM"],
        "log10M1": given["Msat"],
        "alpha": given["alpsat"],
        "kappa": 10.0 ** (given["Mcut"] - given["Mmin"]),
        "alpha_inc": given["inc_alp"],
        "log10M_inc": given["inc_xM"],
    }
    return from_h("more15", ours, h)


def from_dark_emulator(parameters: Mapping[str, Any], h: float) -> Translation:
    """Translate parameters of Dark Emulator (`dark_emulator.model_hod.darkemu_x_hod.set_galaxy`).

    ``logMmin``, ``logM1`` and ``logM_inc`` are log10 of masses in Msun/h; ``sigma_sq`` is the
    square of sigma_logM.

    Args:
        parameters: ``logMmin``, ``sigma_sq``, ``logM1``, ``alpha``, ``kappa``; optionally
            ``alpha_inc`` (default 0) and ``logM_inc`` (default 12). ``poff`` must be 0, since
            centrals of more15 are at the centre of their halo. ``Roff``, ``sat_dist_type`` and
            ``sat_dist_Rc`` are ignored: they are no parameters of the occupation.
        h: Hubble constant [100 km/s/Mpc].

    Returns:
        Parameters of more15.

    Raises:
        ValueError: A parameter is unknown or missing, or has no equivalent here; h is not in
            (0.1, 3).
    """
    needed = ("logMmin", "sigma_sq", "logM1", "alpha", "kappa")
    profiles = dict.fromkeys(("Roff", "sat_dist_type", "sat_dist_Rc"))
    other = {"alpha_inc": 0.0, "logM_inc": 12.0} | profiles
    given = _known("Dark Emulator", parameters, needed, other, {"poff": 0.0})
    ours = {
        "log10Mmin": given["logMmin"],
        "sigma_logM": given["sigma_sq"] ** 0.5,
        "log10M1": given["logM1"],
        "alpha": given["alpha"],
        "kappa": given["kappa"],
        "alpha_inc": given["alpha_inc"],
        "log10M_inc": given["logM_inc"],
    }
    return from_h("more15", ours, h)


def from_abacus(parameters: Mapping[str, Any], h: float) -> Translation:
    """Translate parameters of AbacusHOD for luminous red galaxies (`abacusnbody.hod`).

    ``logM_cut`` and ``logM1`` are log10 of masses in Msun/h. ``sigma`` is a standard deviation in
    log10 M, as in the code of AbacusHOD; its documentation has the natural logarithm.

    Args:
        parameters: ``logM_cut``, ``logM1``, ``sigma``, ``alpha``, ``kappa``. ``ic`` must be 1, and
            assembly bias (``Acent``, ``Asat``, ``Bcent``, ``Bsat``) and changes of the satellites'
            profile (``s``, ``s_v``, ``s_p``, ``s_r``) must be 0. The velocity biases ``alpha_c``
            and ``alpha_s`` are ignored: they have no effect in real space.
        h: Hubble constant [100 km/s/Mpc].

    Returns:
        Parameters of abacus, whose satellites are independent of centrals.

    Raises:
        ValueError: A parameter is unknown or missing, or has no equivalent here; h is not in
            (0.1, 3).
    """
    names = {"logM_cut": "log10Mcut", "sigma": "sigma", "logM1": "log10M1"}
    names |= {"alpha": "alpha", "kappa": "kappa"}
    none = ("Acent", "Asat", "Bcent", "Bsat", "s", "s_v", "s_p", "s_r")
    other = {"alpha_c": 0.0, "alpha_s": 1.0}
    given = _known("AbacusHOD", parameters, names, other, {"ic": 1.0} | dict.fromkeys(none, 0.0))
    return from_h("abacus", {ours: given[name] for name, ours in names.items()}, h)


def linke22_threshold(log10Mmin: Any, sigma_logM: Any) -> dict[str, Any]:
    """Return Mth [Msun] and sigma of linke22 for the threshold of zheng07.

    Both have ``e = [1 + erf(x)] / 2``: zheng07 with ``x = (log10 M - log10Mmin) / sigma_logM``,
    linke22 with ``x = ln(M / Mth) / (sqrt(2) sigma)``.

    Args:
        log10Mmin: log10 of the threshold mass Mmin [Msun].
        sigma_logM: Width of the threshold in log10 M, as in zheng07.
    """
    return {"Mth": 10.0**log10Mmin, "sigma": sigma_logM * (LN_10 / 2**0.5)}


def zheng07_threshold(Mth: Any, sigma: Any) -> dict[str, Any]:
    """Return log10Mmin [log10 Msun] and sigma_logM of zheng07 for the threshold of linke22.

    The inverse of `linke22_threshold`.

    Args:
        Mth: Threshold mass [Msun].
        sigma: Width of the threshold in ln M, as in linke22.
    """
    return {"log10Mmin": np.log10(Mth), "sigma_logM": sigma * (2**0.5 / LN_10)}


def _hubble(h: float) -> float:
    """Check the Hubble constant, and return it."""
    if not 0.1 < h < 3:
        raise ValueError(f"h = {h:g} is the Hubble constant in 100 km/s/Mpc, near 0.7")
    return h


def _known(
    code: str,
    parameters: Mapping[str, Any],
    needed: Iterable[str],
    other: Mapping[str, Any] | None = None,
    neutral: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Check the names of parameters, and add defaults.

    Args:
        code: Name of the code, for messages.
        parameters: Given parameters by name.
        needed: Names of required parameters.
        other: Optional parameters with their defaults.
        neutral: Parameters that may only have the given value.

    Returns:
        Required and optional parameters by name.

    Raises:
        ValueError: A name is unknown or missing, or a value has no equivalent here.
    """
    needed, other, neutral = list(needed), other or {}, neutral or {}
    known = [*needed, *other, *neutral]
    for name in parameters:
        if name not in known:
            raise ValueError(
                f"{code} has no parameter {name!r}{did_you_mean(name, known)}; there are "
                f"{', '.join(known)}"
            )
    if missing := [name for name in needed if name not in parameters]:
        raise ValueError(f"missing parameters of {code}: {', '.join(missing)}")
    for name, value in neutral.items():
        if np.any(parameters.get(name, value) != value):
            raise ValueError(
                f"{name} = {parameters[name]} of {code} is not supported by any occupation here; "
                f"it must be {value:g}"
            )
    return {name: parameters[name] for name in needed} | {
        name: parameters.get(name, value) for name, value in other.items()
    }
