"""An emulator as a CosmoSIS module.

In an ini file::

    [halo_model]
    file = .../hodspectra/cosmosis/hodspectra_module.py
    emulator = standard                  ; a file or a name; the default
    emulator = standard                  ; a file or a name; this is the default
    occupation = zheng07                 ; default: that of the emulator
    outputs = gg_total gm_total          ; this is the default
    z_min = 0                            ; default: the emulator's first redshift
    z_max = 3                            ; default: its last redshift
    k_min = 1e-4
    k_max = 1e2
    n_k = 200
    w_p = 0.2 0.5 1.2 3 7.5 20           ; statistics: at which r_p or R [Mpc/h]; by default none
    w_p = 0.2 0.5 1.2 3 7.5 20           ; statistics at r_p or R [Mpc/h]; default: none
    pi_max = 60                          ; for w_p [Mpc/h]; default: infinite
    ignore = my_parameter                ; without effect on galaxy and matter spectra
ignore = my_parameter                ; parameters that do not affect these spectra

Cosmological parameters are read from ``cosmological_parameters`` (``omega_c``, ``omega_b``, ``h0``,
``n_s``, ``sigma_8``, and ``w`` and ``wa``, by default -1 and 0), those of the occupation from
``hod_parameters``, by their names in lower case. Masses are given as log10 of the mass in Msun,
without h; those that the emulators take in Msun have the prefix ``log10_``. For the occupation of
the shipped files, the names are ``alpha``, ``sigma``, ``beta``, ``log10_mth`` and ``log10_mprime``;
for zheng07, ``log10mmin``, ``sigma_logm``, ``log10m0``, ``log10m1`` and ``alpha``. All other
parameters in these sections must agree with flat w0waCDM with massless neutrinos, or be listed in
``ignore``. Otherwise the status is 1, which rejects the point, and the reason is printed.

Results have units with h, as usual in CosmoSIS. Spectra are grids ``p_k`` [(Mpc/h)^3] over ``z``
and ``k_h`` [h/Mpc], evenly spaced in z: totals in ``galaxy_power``, ``matter_galaxy_power``,
``matter_power_nl`` (``mm_total``) and ``matter_power_lin`` (``P_lin``), others in sections of their
own names. Numbers over ``z`` are in ``hod_numbers``: ``n_g`` [(h/Mpc)^3], ``b_eff``, ``f_sat``.
Sections of other modules are never replaced; a conflict is an error.

Statistics (`export.statistics`) are requested by their separations: ``w_p`` (optionally with
``kaiser = T`` and ``pi_max``), ``delta_sigma``, ``sigma``, ``xi_gg``, ``xi_gm``, ``xi_mm``,
comoving unless ``physical = T``. Each has a section of its name, with a grid of that name over
``z`` and the separations ``r_p`` (for w_p) or ``r`` [Mpc/h]: w_p in Mpc/h, surface densities in
h Msun/pc^2 or in ``units``. With ``bins = T``, separations are edges of bins and statistics are
averages; the section then contains the edges as ``r_p_edges`` or ``r_edges``, and the geometric
middle of each bin as ``r_p`` or ``r``. ``point_mass = T`` adds a point mass to delta_sigma, the
parameter ``log10_m_point`` [log10 Msun] of ``hod_parameters``.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from cosmosis.datablock import SectionOptions, names, option_section

from datagen.outputs import CORRELATIONS, output
from export.adapters.common import at_redshifts, left_out, redshift, redshifts, rehearse, words
from export.adapters.cosmosis_names import INPUTS, NAMES
from export.adapters.physics import Vocabulary, only
from export.ranges import OutOfRange, Parameter
from export.runtime import OnnxEmulator, load
from export.statistics import Statistic, statistic
from export.statistics.kinds import KINDS

__all__ = ["execute", "setup"]

SECTIONS = {
    "gg_total": "galaxy_power",
    "gm_total": "matter_galaxy_power",
    "mm_total": "matter_power_nl",
    "P_lin": "matter_power_lin",
}
_NUMBERS, _OCCUPATION = "hod_numbers", "hod_parameters"
_HUGE = 300.0  # a log10 that floats can hold, of a mass outside all ranges
_OTHER_PHYSICS = ("de_equation_of_state", "post_friedmann_parameters")  # sections
_METADATA = "cosmosis_metadata:"  # prefix of CosmoSIS's own entries in a section
_DEFAULT = ("gg_total", "gm_total")
_GRIDS = ("z_min", "z_max", "n_z", "k_min", "k_max", "n_k")
_STATISTICS: dict[str, dict[str, Any]] = {  # arguments of each, by option and section
    "w_p": {"kind": "Wp"},
    "delta_sigma": {"kind": "DeltaSigma"},
    "sigma": {"kind": "Sigma"},
    **{f"xi_{xy}": {"kind": "Xi", "correlation": xy} for xy in CORRELATIONS},
}
_OF_STATISTICS = ("pi_max", "kaiser", "units", "point_mass", "bins", "physical")
_OPTIONS = {
    *("file", "emulator", "occupation", "outputs", *_GRIDS, "ignore"),
    *_STATISTICS,
    *_OF_STATISTICS,
}
_POINT_MASS = "M_point"
_UNITS = {"Mpc^3": ("(Mpc/h)^3", 3), "1/Mpc^3": ("(h/Mpc)^3", -3), "1": ("1", 0)}  # powers of h


def setup(options: Any) -> dict[str, Any]:
    """Open the emulator, and evaluate it once to raise errors at set-up.

    Args:
        options: Options of the module in the ini file.

    Returns:
        The configuration for `execute`.

    Raises:
        ValueError: Unknown options or outputs; invalid redshifts, wavenumbers or separations.
    """
    _refuse_unknown_options(options)
    section = SectionOptions(options)
    emulator = _opened(section)
    known = emulator.units
    outputs = words(section.get_string("outputs", " ".join(n for n in _DEFAULT if n in known)))
    statistics = _statistics(section)
    if not (outputs or statistics) or not set(outputs) <= known.keys():
        raise ValueError(
            f"outputs = {' '.join(outputs) or 'nothing'} must be some of {', '.join(known)}"
        )
    z, k_h = _redshifts(section, emulator), _wavenumbers(section)
    h = {p.name: p.high for p in emulator.parameters}["h"]
    if outputs:
        try:
            rehearse(emulator, outputs, k_h * h)
        except ValueError as error:
            raise ValueError(f"at k_max = {k_h[-1]:g} h/Mpc and h = {h:g}: {error}") from error
    if statistics:
        rehearse(emulator, list(statistics.values()), None, z=z[[0, -1]])
    ignored = {name.lower() for name in words(section.get_string("ignore", ""))}
    return {
        "emulator": emulator, "outputs": outputs, "statistics": statistics, "z": z, "k_h": k_h,
        "ignore": ignored,
    }  # fmt: skip


def execute(block: Any, config: dict[str, Any]) -> int:
    """Evaluate one point, and write the results to the block.

    Args:
        block: CosmoSIS's data block.
        config: The result of `setup`.

    Returns:
        The status: 0, or 1, which rejects the point, outside the ranges or the physics of the
        emulator.

    Raises:
        ValueError: A missing parameter, or a section that another module has written.
    """
    emulator, z, k_h = config["emulator"], config["z"], config["k_h"]
    statistics = config["statistics"]
    parameters = emulator.parameters + _own(statistics)
    point = _point(block, parameters)
    for line in _objections(block, point, parameters, config["ignore"]):
        _say(line)
        return 1
    units = emulator.units
    _refuse_to_replace(block, config["outputs"], units, statistics)
    h = point["h"]
    asked = [*config["outputs"], *statistics.values()]
    try:
        results = at_redshifts(emulator, point, z, asked, k_h * h)
    except OutOfRange as error:
        _say(str(error))
        return 1
    for section, one in statistics.items():
        _put(block, section, one, z, results.pop(one.name))
    for name, values in results.items():
        unit, power = _UNITS[units[name]]
        section, key = _place(name)
        values = values.astype(np.float64) * h**power
        if section == _NUMBERS:
            block[section, "z"] = z
            block[section, key] = values
        else:
            block.put_grid(section, "z", z, "k_h", k_h, key, values)
        block.put_metadata(section, key, "unit", unit)
    return 0


def _opened(section: Any) -> OnnxEmulator:
    """Open the emulator with the occupation of the options."""
    occupation = section.get_string("occupation", "").strip()
    if occupation and not occupation.replace("+", "").isidentifier():
        raise ValueError(
            f"occupation = {occupation} must be one name; two populations are supported by Python, "
            f"pyccl and Cobaya only"
        )
    return load(section.get_string("emulator", "standard"), occupation=occupation or None)


def _statistics(section: Any) -> dict[str, Statistic]:
    """Requested statistics, by section.

    Raises:
        ValueError: Invalid separations; options of statistics that are not requested.
    """
    given = {name: section[name] for name in _OF_STATISTICS if section.has_value(name)}
    for name in ("kaiser", "point_mass", "bins", "physical"):
        if not isinstance(given.get(name, True), bool | int):
            raise ValueError(f"{name} = {given[name]} must be T or F")
    found: dict[str, Statistic] = {}
    takes = {
        "pi_max": ("w_p",), "kaiser": ("w_p",), "units": ("delta_sigma", "sigma"),
        "point_mass": ("delta_sigma",), "bins": tuple(_STATISTICS), "physical": tuple(_STATISTICS),
    }  # fmt: skip
    for name, record in _STATISTICS.items():
        if not section.has_value(name):
            continue
        axis = KINDS[record["kind"]].axis
        own = {n: value for n, value in given.items() if name in takes[n]}
        if "point_mass" in own:
            own["point_mass"] = _POINT_MASS if own["point_mass"] else 0.0
        if name in takes["units"]:
            own = {"units": "h Msun/pc^2"} | own
        try:
            found[name] = statistic(
                {**record, **own, axis: section[name], "lengths": "Mpc/h", "name": name}
            )
        except (TypeError, ValueError) as error:
            said = section[name]  # CosmoSIS converts values of the ini file to arrays
            said = said.tolist() if isinstance(said, np.ndarray) else said
            raise ValueError(f"{name} = {said}: {error}") from None
    for name in given:
        if not set(takes[name]) & found.keys():
            raise ValueError(f"{name} is of {', '.join(takes[name])}, which is not requested")
    return found


def _own(statistics: Mapping[str, Statistic]) -> tuple[Parameter, ...]:
    """Parameters of the statistics, in the form of the emulator's."""
    names_ = dict.fromkeys(name for one in statistics.values() for name in one.parameters)
    return tuple(
        Parameter(n, "Msun", 0.0, 1e300, "log10", "statistics", r"M_\mathrm{point}", None)
        for n in names_
    )


def _put(block: Any, section: str, one: Statistic, z: Any, values: Any) -> None:
    """Write a statistic at redshifts, shape (Z, R)."""
    axis, radii = one.axis.lower(), one.radii.copy()
    if one.bins:
        block[section, f"{axis}_edges"] = radii
        radii = np.sqrt(radii[:-1] * radii[1:])
    block.put_grid(section, "z", z, axis, radii, section, values.astype(np.float64))
    block.put_metadata(section, section, "unit", one.unit)
    block.put_metadata(section, axis, "unit", one.lengths)


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
    """Return an option that is a number; get_double refuses integers such as "k_max = 10"."""
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
    """Section and name of an input in a block."""
    if p.group == "cosmology":
        return names.cosmological_parameters, INPUTS.get(p.name, p.name.lower())
    return _OCCUPATION, (f"log10_{p.name}" if _is_mass(p) else p.name).lower()


def _is_mass(p: Parameter) -> bool:
    """Whether a parameter is given by its log10."""
    return p.unit == "Msun"


def _in_block(parameters: tuple[Parameter, ...]) -> list[Parameter]:
    return [p for p in parameters if p.group != "redshift"]


def _point(block: Any, parameters: tuple[Parameter, ...]) -> dict[str, float]:
    """The emulator's inputs by name, without z, masses in Msun."""
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
    """Messages about parameters in a block that the emulators do not include."""
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


def _place(name: str) -> tuple[str, str]:
    """Section and name of an output."""
    return (SECTIONS.get(name, name), "p_k") if output(name).is_spectrum else (_NUMBERS, name)


def _refuse_to_replace(
    block: Any, outputs: list[str], units: dict[str, str], statistics: Mapping[str, Statistic]
) -> None:
    places = {name: _place(name) for name in outputs} | {n: (n, n) for n in statistics}
    for name, (section, key) in places.items():
        if block.has_value(section, key):
            raise ValueError(
                f"{section}/{key} was written by another module, and is not replaced; remove "
                f"{name} from the outputs, or run this module without the other"
            )


def _say(text: str) -> None:
    print(f"hodspectra: {text}")  # noqa: T201 (CosmoSIS modules speak this way)
