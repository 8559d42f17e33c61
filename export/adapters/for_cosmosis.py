"""An emulator as a module of CosmoSIS.

In an ini file::

    [halo_model]
    file = .../hodspectra/cosmosis/hodspectra_module.py
    emulator = standard                  ; a file or a name; the default
    occupation = zheng07                 ; by default that of the emulator
    outputs = gg_total gm_total          ; the default
    z_min = 0                            ; by default from the emulator's first redshift
    z_max = 3                            ; to its last
    n_z = 50
    k_min = 1e-4
    k_max = 1e2
    n_k = 200
    ignore = my_parameter                ; without effect on galaxy and matter spectra

Cosmology is read from ``cosmological_parameters`` (``omega_c``, ``omega_b``, ``h0``, ``n_s``,
``sigma_8``, and ``w`` and ``wa``, which are -1 and 0 where they are missing), the occupation from
``hod_parameters``, by the names of its parameters. Masses come as decadic logarithms of Msun
without h, those that the emulators take in Msun under a name of their own: for the occupation of
the shipped files that is ``alpha``, ``sigma``, ``beta``, ``log10_mth`` and ``log10_mprime``, for
zheng07 ``log10mmin``, ``sigma_logm``, ``log10m0``, ``log10m1`` and ``alpha`` (CosmoSIS does not
tell large letters from small ones). Whatever else is in these sections must be
as in the flat w0waCDM with massless neutrinos that the emulators know, or be listed in ``ignore``;
otherwise the status is 1, which ends the point, and the reason is printed.

What is written has units with h, as everywhere in CosmoSIS. Spectra are grids ``p_k`` [(Mpc/h)^3]
over ``z`` and ``k_h`` [h/Mpc], evenly spaced in z: totals in ``galaxy_power``,
``matter_galaxy_power``, ``matter_power_nl`` (``mm_total``), ``matter_power_lin`` (``P_lin``),
others in sections of their own names. Numbers over ``z`` are in ``hod_numbers``: ``n_g``
[(h/Mpc)^3], ``b_eff``, ``f_sat``. A section that another module has written is never replaced: that
is an error.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from cosmosis.datablock import SectionOptions, names, option_section

from export.adapters.common import at_redshifts, left_out, redshift, redshifts, rehearse, words
from export.adapters.cosmosis_names import INPUTS, NAMES
from export.adapters.physics import Vocabulary, only
from export.ranges import OutOfRange, Parameter
from export.runtime import OnnxEmulator, load

__all__ = ["execute", "setup"]

SECTIONS = {
    "gg_total": "galaxy_power",
    "gm_total": "matter_galaxy_power",
    "mm_total": "matter_power_nl",
    "P_lin": "matter_power_lin",
}
_NUMBERS, _OCCUPATION = "hod_numbers", "hod_parameters"
_HUGE = 300.0  # a logarithm that floats hold, of a mass that no emulator has
_OTHER_PHYSICS = ("de_equation_of_state", "post_friedmann_parameters")  # sections
_METADATA = "cosmosis_metadata:"  # what CosmoSIS keeps beside the values of a section
_DEFAULT = ("gg_total", "gm_total")
_GRIDS = ("z_min", "z_max", "n_z", "k_min", "k_max", "n_k")
_OPTIONS = {"file", "emulator", "occupation", "outputs", *_GRIDS, "ignore"}
_UNITS = {"Mpc^3": ("(Mpc/h)^3", 3), "1/Mpc^3": ("(h/Mpc)^3", -3), "1": ("1", 0)}  # powers of h


def setup(options: Any) -> dict[str, Any]:
    """Open the emulator, once, and make the call of every point for a first time.

    Raises:
        ValueError: Options, outputs, redshifts or wavenumbers that there are not.
    """
    _refuse_unknown_options(options)
    section = SectionOptions(options)
    emulator = _opened(section)
    known = emulator.units
    outputs = words(section.get_string("outputs", " ".join(n for n in _DEFAULT if n in known)))
    if not outputs or not set(outputs) <= known.keys():
        raise ValueError(
            f"outputs = {' '.join(outputs) or 'nothing'} must be some of {', '.join(known)}"
        )
    z, k_h = _redshifts(section, emulator), _wavenumbers(section)
    h = {p.name: p.high for p in emulator.parameters}["h"]
    try:
        rehearse(emulator, outputs, k_h * h)
    except ValueError as error:
        raise ValueError(f"at k_max = {k_h[-1]:g} h/Mpc and h = {h:g}: {error}") from error
    ignored = {name.lower() for name in words(section.get_string("ignore", ""))}
    return {"emulator": emulator, "outputs": outputs, "z": z, "k_h": k_h, "ignore": ignored}


def execute(block: Any, config: dict[str, Any]) -> int:
    """Spectra of one point; the status is 1, which ends it, outside of what the emulators know.

    Raises:
        ValueError: A parameter that is missing, or a section that another module has written.
    """
    emulator, z, k_h = config["emulator"], config["z"], config["k_h"]
    point = _point(block, emulator.parameters)
    for line in _objections(block, point, emulator.parameters, config["ignore"]):
        _say(line)
        return 1
    units = emulator.units
    _refuse_to_replace(block, config["outputs"], units)
    h = point["h"]
    try:
        results = at_redshifts(emulator, point, z, config["outputs"], k_h * h)
    except OutOfRange as error:
        _say(str(error))
        return 1
    for name, values in results.items():
        unit, power = _UNITS[units[name]]
        section, key = _place(name, units)
        values = values.astype(np.float64) * h**power
        if section == _NUMBERS:
            block[section, "z"] = z
            block[section, key] = values
        else:
            block.put_grid(section, "z", z, "k_h", k_h, key, values)
        block.put_metadata(section, key, "unit", unit)
    return 0


def _opened(section: Any) -> OnnxEmulator:
    """The emulator, with the galaxies that are asked for."""
    occupation = section.get_string("occupation", "").strip()
    if occupation and not occupation.replace("+", "").isidentifier():
        raise ValueError(
            f"occupation = {occupation} must be one name; two populations at once are for Python, "
            f"pyccl and Cobaya"
        )
    return load(section.get_string("emulator", "standard"), occupation=occupation or None)


def _redshifts(section: Any, emulator: OnnxEmulator) -> Any:
    known = redshift(emulator)
    z_min, z_max = _option(section, "z_min", known.low), _option(section, "z_max", known.high)
    n_z = _option(section, "n_z", 1 if z_min == z_max else 50)
    _whole("n_z", n_z)
    if not (z_min < z_max and n_z > 1) and not (z_min == z_max and n_z == 1):
        raise ValueError(
            f"z_min = {z_min:g}, z_max = {z_max:g}, n_z = {n_z}: there must be two redshifts or "
            f"more, ascending, or a single one"
        )
    for name, value in (("z_min", z_min), ("z_max", z_max)):
        redshifts(value, emulator, name)
    return redshifts(np.linspace(z_min, z_max, n_z), emulator)


def _wavenumbers(section: Any) -> Any:
    k_min, k_max = _option(section, "k_min", 1e-4), _option(section, "k_max", 1e2)
    n_k = _option(section, "n_k", 200)
    _whole("n_k", n_k)
    if not (0 < k_min < k_max < np.inf and n_k > 1):
        raise ValueError(
            f"k_min = {k_min:g}, k_max = {k_max:g}, n_k = {n_k}: there must be two "
            f"wavenumbers or more, above 0 and ascending"
        )
    return np.geomspace(k_min, k_max, n_k)


def _option(section: Any, name: str, default: float) -> Any:
    """A number; not by get_double, which refuses "k_max = 10"."""
    value = section[name] if section.has_value(name) else default
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{name} = {value} must be a number")
    return value


def _whole(name: str, value: Any) -> None:
    if not isinstance(value, int):
        raise ValueError(f"{name} = {value} must be an integer")


def _refuse_unknown_options(options: Any) -> None:
    shared = {name for _, name in options.keys("_cosmosis_default_section")}
    given = {name for _, name in options.keys(option_section)} - shared
    if unknown := sorted(given - _OPTIONS):
        raise ValueError(f"no option {', '.join(unknown)}; there are {', '.join(sorted(_OPTIONS))}")


def _key(p: Parameter) -> tuple[str, str]:
    """Where an input of the emulators is in a block, section and name."""
    if p.group == "cosmology":
        return names.cosmological_parameters, INPUTS.get(p.name, p.name.lower())
    return _OCCUPATION, (f"log10_{p.name}" if _is_mass(p) else p.name).lower()


def _is_mass(p: Parameter) -> bool:
    """Whether it comes in its logarithm, as it is sampled."""
    return p.unit == "Msun"


def _in_block(parameters: tuple[Parameter, ...]) -> list[Parameter]:
    return [p for p in parameters if p.group != "redshift"]


def _point(block: Any, parameters: tuple[Parameter, ...]) -> dict[str, float]:
    """The emulator's inputs by name, but for z, with masses in Msun."""
    point, unsaid = {}, left_out(parameters)
    for p in _in_block(parameters):
        section, key = _key(p)
        if block.has_value(section, key):
            value = block[section, key]
            point[p.name] = 10.0 ** min(value, _HUGE) if _is_mass(p) else value
        elif p.name in unsaid:
            point[p.name] = unsaid[p.name]
        else:
            unit = ", the decadic logarithm of it in Msun" if _is_mass(p) else ""
            unit = f" [{p.unit}]" if p.unit == "log10 Msun" else unit
            raise ValueError(f"{section} has no {key}; the emulators need {p.name}{unit}")
    return point


def _objections(
    block: Any, point: dict[str, float], parameters: tuple[Parameter, ...], ignored: set[str]
) -> Iterator[str]:
    """What in a block the emulators do not know, a line for each parameter."""
    for section in _OTHER_PHYSICS:
        if block.has_section(section) and section not in ignored:
            yield f"{section}: {only(section, None)}"
    for section, known in (
        (names.cosmological_parameters, NAMES),
        (_OCCUPATION, Vocabulary({})),
    ):
        taken = {key for home, key in map(_key, _in_block(parameters)) if home == section}
        keys = {key for _, key in block.keys(section) if not key.startswith(_METADATA)}
        others = {key: block[section, key] for key in sorted(keys - taken - ignored)}
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
