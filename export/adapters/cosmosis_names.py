"""What modules of CosmoSIS call cosmological parameters."""

from collections.abc import Mapping
from typing import Any

from export.adapters.common import words
from export.adapters.physics import FIXED, Fixed, Vocabulary

__all__ = ["INPUTS", "NAMES"]

# The emulators' cosmological inputs, as cosmological_parameters has them
INPUTS = {
    "Om_c": "omega_c", "Om_b": "omega_b", "h": "h0", "n_s": "n_s", "sigma_8": "sigma_8",
    "w0": "w", "wa": "wa",
}  # fmt: skip

_NO = Fixed(0.0)
_FIXED = {
    "omega_k": FIXED["Omega_k"],
    "mnu": FIXED["m_nu"],
    "omega_nu": _NO,
    "omnuh2": _NO,
    "nnu": FIXED["Neff"],
    "n_eff": FIXED["Neff"],
    "massless_nu": FIXED["Neff"],
    "num_nu_massless": FIXED["Neff"],
    "delta_neff": _NO,
    "tcmb": FIXED["T_CMB"],
    "t_cmb": FIXED["T_CMB"],
    "yhe": Fixed(0.246, tolerance=0.01),  # 0.02 % in linear power
    "nrun": _NO,
    "nrunrun": _NO,
    "mu_0": _NO,
    "mu0": _NO,
    "sigma_0": _NO,
    "sigma0": _NO,
}


def _Om_m(point: Mapping[str, Any]) -> Any:
    return point["Om_c"] + point["Om_b"]


_DERIVED = {
    "w0": lambda point: point["w0"],
    "omega_m": _Om_m,
    "omega_lambda": lambda point: 1 - _Om_m(point),
    "ommh2": lambda point: _Om_m(point) * point["h"] ** 2,
    "omch2": lambda point: point["Om_c"] * point["h"] ** 2,
    "ombh2": lambda point: point["Om_b"] * point["h"] ** 2,
    "baryon_fraction": lambda point: point["Om_b"] / _Om_m(point),
    "hubble": lambda point: 100 * point["h"],
    "sigma8": lambda point: point["sigma_8"],
    "sigma8_input": lambda point: point["sigma_8"],
    "sigma_8_input": lambda point: point["sigma_8"],
    "s_8": lambda point: point["sigma_8"] * (_Om_m(point) / 0.3) ** 0.5,
    "s8": lambda point: point["sigma_8"] * (_Om_m(point) / 0.3) ** 0.5,
}
# The amplitude's other names, what acts on the microwave background alone, and counts of neutrinos
# whose mass is given
_NEUTRAL = words(
    """
    a_s a_s_1e9 as log1e10as loga sigma_12 tau a_lens alens r r_t nt n_t ntrun cosmomc_theta
    theta_mc k_s pivot_scalar pivot_tensor cs2_de consistency_module_was_used
    standard_neutrino_neff num_massive_neutrinos num_nu_massive massive_nu
    """
)
NAMES = Vocabulary(_FIXED, _DERIVED, _NEUTRAL)
