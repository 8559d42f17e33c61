"""Emulators as a module of CosmoSIS.

In an ini file::

    [halo_model]
    file = .../export/adapters/for_cosmosis.py
    emulators = standard standard-z0.5   ; files or names, by default all of these that are shipped
    outputs = gg_total gm_total mm_total
    k_min = 1e-4
    k_max = 1e2
    n_k = 200                            ; k in h/Mpc, as everywhere in CosmoSIS

Cosmology is read from ``cosmological_parameters`` (``omega_c``, ``omega_b``, ``h0``, ``n_s``,
``sigma_8``), the occupation from ``hod_parameters`` (``alpha``, ``sigma``, ``log10_mth``,
``log10_mprime`` [Msun], ``beta``). Totals go where CosmoSIS looks for them (``galaxy_power``,
``matter_galaxy_power``, ``matter_power_nl``, ``matter_power_lin``), other outputs into sections of
their own name, as grids ``p_k`` [(Mpc/h)^3] over ``z`` and ``k_h``. Numbers of the galaxies go into
``hod_numbers``.
"""

from typing import Any

import numpy as np
from cosmosis.datablock import SectionOptions, names

from export.ranges import OutOfRange
from export.redshifts import Redshifts

__all__ = ["execute", "setup"]

SECTIONS = {
    "gg_total": "galaxy_power",
    "gm_total": "matter_galaxy_power",
    "mm_total": "matter_power_nl",
    "P_lin": "matter_power_lin",
}
_COSMOLOGY = {"Om_c": "omega_c", "Om_b": "omega_b", "h": "h0", "n_s": "n_s", "sigma_8": "sigma_8"}


def setup(options: Any) -> dict[str, Any]:
    """Open the emulators, once."""
    section = SectionOptions(options)
    k_h = np.geomspace(
        section.get_double("k_min", 1e-4),
        section.get_double("k_max", 1e2),
        section.get_int("n_k", 200),
    )
    outputs = section.get_string("outputs", "gg_total gm_total mm_total P_lin")
    redshifts = Redshifts(section.get_string("emulators", "").split())
    return {"redshifts": redshifts, "outputs": outputs.split(), "k_h": k_h}


def execute(block: Any, config: dict[str, Any]) -> int:
    """Spectra of one point; the status is 1, which ends it, outside the trained ranges."""
    point = {ours: block[names.cosmological_parameters, n] for ours, n in _COSMOLOGY.items()}
    for name in ("alpha", "sigma", "beta"):
        point[name] = block["hod_parameters", name]
    for name in ("Mth", "Mprime"):
        point[name] = 10.0 ** block["hod_parameters", f"log10_{name.lower()}"]
    h, k_h, redshifts = point["h"], config["k_h"], config["redshifts"]
    try:
        results = redshifts(point, config["outputs"], k_h * h)
    except OutOfRange as error:
        print(f"halo_model: {error}")  # noqa: T201 (CosmoSIS modules speak this way)
        return 1
    for name, values in results.items():
        if values.ndim == 1:
            block["hod_numbers", name] = values
        else:
            section = SECTIONS.get(name, name)
            block.put_grid(section, "z", redshifts.z, "k_h", k_h, "p_k", values * h**3)
    return 0
