"""Names of cosmological parameters in CosmoSIS."""

from export.adapters.common import words
from export.adapters.physics import FIXED, NONE, S_8, YHE, Om_m, Vocabulary

__all__ = ["INPUTS", "NAMES"]

# Names of the emulators' cosmological inputs in the section cosmological_parameters
INPUTS = {
    "Om_c": "omega_c", "Om_b": "omega_b", "h": "h0", "n_s": "n_s", "sigma_8": "sigma_8",
    "w0": "w", "wa": "wa",
}  # fmt: skip

_FIXED = {
    "omega_k": FIXED["Omega_k"],
    "mnu": FIXED["m_nu"],
    "omega_nu": NONE,
    "omnuh2": NONE,
    "nnu": FIXED["Neff"],
    "n_eff": FIXED["Neff"],
    "massless_nu": FIXED["Neff"],
    "num_nu_massless": FIXED["Neff"],
    "delta_neff": NONE,
    "tcmb": FIXED["T_CMB"],
    "t_cmb": FIXED["T_CMB"],
    "yhe": YHE,
    "nrun": NONE,
    "nrunrun": NONE,
    "mu_0": NONE,
    "mu0": NONE,
    "sigma_0": NONE,
    "sigma0": NONE,
}
_DERIVED = {
    "w0": lambda point: point["w0"],
    "omega_m": Om_m,
    "omega_lambda": lambda point: 1 - Om_m(point),
    "ommh2": lambda point: Om_m(point) * point["h"] ** 2,
    "omch2": lambda point: point["Om_c"] * point["h"] ** 2,
    "ombh2": lambda point: point["Om_b"] * point["h"] ** 2,
    "baryon_fraction": lambda point: point["Om_b"] / Om_m(point),
    "hubble": lambda point: 100 * point["h"],
    "sigma8": lambda point: point["sigma_8"],
    "sigma8_input": lambda point: point["sigma_8"],
    "sigma_8_input": lambda point: point["sigma_8"],
    "s_8": S_8,
    "s8": S_8,
}
# Other names of the amplitude, parameters of the microwave background alone, and numbers of
# neutrinos, whose mass is given separately
_NEUTRAL = words(
    """
    a_s a_s_1e9 as log1e10as loga sigma_12 tau a_lens alens r r_t nt n_t ntrun cosmomc_theta
    theta_mc k_s pivot_scalar pivot_tensor cs2_de consistency_module_was_used
    standard_neutrino_neff num_massive_neutrinos num_nu_massive massive_nu
    """
)
NAMES = Vocabulary(_FIXED, _DERIVED, _NEUTRAL)
