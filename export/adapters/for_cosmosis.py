"""Emulators as a module of CosmoSIS.

In an ini file::

    [halo_model]
    file = .../hodspectra/cosmosis/hodspectra_module.py
    emulators = standard standard-z0.5   ; files or names, by default all of these that are shipped
    outputs = gg_total gm_total          ; the default
    k_min = 1e-4
    k_max = 1e2
    n_k = 200
    ignore = my_parameter                ; without effect on galaxy and matter spectra

Cosmology is read from ``cosmological_parameters`` (``omega_c``, ``omega_b``, ``h0``, ``n_s``,
``sigma_8``), the occupation from ``hod_parameters``: ``alpha``, ``sigma``, ``beta``, and the masses
as ``log10_mth`` and ``log10_mprime``, decadic logarithms of Msun without h. Whatever else is in
these sections must be as in the flat LCDM with massless neutrinos that the emulators know, or be
listed in ``ignore``; otherwise the status is 1, which ends the point, and the reason is printed.

What is written has units with h, as everywhere in CosmoSIS. Spectra are grids ``p_k`` [(Mpc/h)^3]
over ``z`` and ``k_h`` [h/Mpc], and ``z`` ends where the emulators do: totals in ``galaxy_power``,
``matter_galaxy_power``, ``matter_power_nl`` (``mm_total``), ``matter_power_lin`` (``P_lin``),
others in sections of their own names. Numbers over ``z`` are in ``hod_numbers``: ``n_g``
[(h/Mpc)^3], ``b_eff``, ``f_sat``. A section that another module has written is never replaced: that
is an error.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from cosmosis.datablock import SectionOptions, names, option_section

from export.adapters.common import centre, words
from export.adapters.cosmosis_names import INPUTS, NAMES
from export.adapters.physics import Vocabulary, only
from export.ranges import OutOfRange
from export.redshifts import Redshifts

__all__ = ["execute", "setup"]

SECTIONS = {
    "gg_total": "galaxy_power",
    "gm_total": "matter_galaxy_power",
    "mm_total": "matter_power_nl",
    "P_lin": "matter_power_lin",
}
_NUMBERS, _OCCUPATION = "hod_numbers", "hod_parameters"
_MASSES = ("Mth", "Mprime")  # in logarithm, as they are sampled
_OTHER_PHYSICS = ("de_equation_of_state", "post_friedmann_parameters")  # sections
_METADATA = "cosmosis_metadata:"  # what CosmoSIS keeps beside the values of a section
_DEFAULT = ("gg_total", "gm_total")
_OPTIONS = {"file", "emulators", "outputs", "k_min", "k_max", "n_k", "ignore"}
_UNITS = {"Mpc^3": ("(Mpc/h)^3", 3), "1/Mpc^3": ("(h/Mpc)^3", -3), "1": ("1", 0)}  # powers of h


def setup(options: Any) -> dict[str, Any]:
    """Open the emulators, once, and make the call of every point for a first time.

    Raises:
        ValueError: Options, outputs or wavenumbers that there are not.
    """
    _refuse_unknown_options(options)
    section = SectionOptions(options)
    redshifts = Redshifts(words(section.get_string("emulators", "")))
    known = redshifts.units
    outputs = words(section.get_string("outputs", " ".join(n for n in _DEFAULT if n in known)))
    if not outputs or not set(outputs) <= known.keys():
        raise ValueError(
            f"outputs = {' '.join(outputs) or 'nothing'} must be some of {', '.join(known)}"
        )
    k_h = _wavenumbers(section)
    h = {p.name: p.high for p in redshifts.parameters}["h"]
    try:
        redshifts(centre(redshifts.parameters), outputs, k_h * h, out_of_range="nan")
    except ValueError as error:
        raise ValueError(f"at k_max = {k_h[-1]:g} h/Mpc and h = {h:g}: {error}") from error
    ignored = {name.lower() for name in words(section.get_string("ignore", ""))}
    return {"redshifts": redshifts, "outputs": outputs, "k_h": k_h, "ignore": ignored}


def execute(block: Any, config: dict[str, Any]) -> int:
    """Spectra of one point; the status is 1, which ends it, outside of what the emulators know.

    Raises:
        ValueError: A parameter that is missing, or a section that another module has written.
    """
    redshifts, k_h = config["redshifts"], config["k_h"]
    point = _point(block, redshifts.names)
    for line in _objections(block, point, config["ignore"]):
        _say(line)
        return 1
    _refuse_to_replace(block, config["outputs"], redshifts.units)
    h = point["h"]
    try:
        results = redshifts(point, config["outputs"], k_h * h)
    except OutOfRange as error:
        _say(str(error))
        return 1
    for name, values in results.items():
        unit, power = _UNITS[redshifts.units[name]]
        section, key = _place(name, redshifts.units)
        values = values * h**power
        if section == _NUMBERS:
            block[section, "z"] = redshifts.z
            block[section, key] = values
        else:
            block.put_grid(section, "z", redshifts.z, "k_h", k_h, key, values)
        block.put_metadata(section, key, "unit", unit)
    return 0


def _wavenumbers(section: Any) -> Any:
    # not get_double, which refuses "k_max = 10"
    k_min, k_max, n_k = (
        section[name] if section.has_value(name) else default
        for name, default in (("k_min", 1e-4), ("k_max", 1e2), ("n_k", 200))
    )
    if not isinstance(n_k, int):
        raise ValueError(f"n_k = {n_k} must be an integer")
    if not (0 < k_min < k_max < np.inf and n_k > 1):
        raise ValueError(
            f"k_min = {k_min:g}, k_max = {k_max:g}, n_k = {n_k}: there must be two "
            f"wavenumbers or more, above 0 and ascending"
        )
    return np.geomspace(k_min, k_max, n_k)


def _refuse_unknown_options(options: Any) -> None:
    shared = {name for _, name in options.keys("_cosmosis_default_section")}
    given = {name for _, name in options.keys(option_section)} - shared
    if unknown := sorted(given - _OPTIONS):
        raise ValueError(f"no option {', '.join(unknown)}; there are {', '.join(sorted(_OPTIONS))}")


def _key(name: str) -> tuple[str, str]:
    """Where an input of the emulators is in a block, section and name."""
    if name in INPUTS:
        return names.cosmological_parameters, INPUTS[name]
    return _OCCUPATION, f"log10_{name}".lower() if name in _MASSES else name


def _point(block: Any, inputs: tuple[str, ...]) -> dict[str, float]:
    """The emulators' inputs by name, with masses in Msun."""
    point = {}
    for name in inputs:
        section, key = _key(name)
        if not block.has_value(section, key):
            unit = ", the decadic logarithm of it in Msun" if name in _MASSES else ""
            raise ValueError(f"{section} has no {key}; the emulators need {name}{unit}")
        value = block[section, key]
        point[name] = 10.0**value if name in _MASSES else value
    return point


def _objections(block: Any, point: dict[str, float], ignored: set[str]) -> Iterator[str]:
    """What in a block the emulators do not know, a line for each parameter."""
    for section in _OTHER_PHYSICS:
        if block.has_section(section) and section not in ignored:
            yield f"{section}: {only(section, None)}"
    for section, known in (
        (names.cosmological_parameters, NAMES),
        (_OCCUPATION, Vocabulary({})),
    ):
        taken = ignored | {key for home, key in map(_key, point) if home == section}
        keys = {key for _, key in block.keys(section) if not key.startswith(_METADATA)}
        others = {key: block[section, key] for key in sorted(keys - taken)}
        yield from (f"{section}: {line}" for line in known.refused(others, point))


def _place(name: str, units: dict[str, str]) -> tuple[str, str]:
    """Section and name of an output."""
    return (SECTIONS.get(name, name), "p_k") if units[name] == "Mpc^3" else (_NUMBERS, name)


def _refuse_to_replace(block: Any, outputs: list[str], units: dict[str, str]) -> None:
    for name in outputs:
        section, key = _place(name, units)
        if block.has_value(section, key):
            raise ValueError(
                f"{section}/{key} was written by another module, and is not replaced; take {name} "
                f"out of the outputs, or run this module without the other"
            )


def _say(text: str) -> None:
    print(f"hodspectra: {text}")  # noqa: T201 (CosmoSIS modules speak this way)
