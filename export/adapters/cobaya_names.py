"""Names of cosmological parameters in CAMB, CLASS and input files of Cobaya."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from export.adapters.common import words
from export.adapters.physics import FIXED, NONE, S_8, YHE, Fixed, Om_m, OneOf, Vocabulary

__all__ = ["ASKED_OF_OTHERS", "NAMES", "SOURCES", "Source"]


@dataclass(frozen=True)
class Source:
    """How to compute an input from a parameter with another name.

    Attributes:
        factor: Factor that multiplies the parameter.
        needs_h: Whether the parameter is a density times h^2.
    """

    factor: float = 1.0
    needs_h: bool = False

    def make(self, value: Any, h: Any) -> Any:
        """Compute the input from the parameter and h."""
        return value * self.factor / h**2 if self.needs_h else value * self.factor


_PHYSICAL = Source(needs_h=True)
# Other names of the emulators' inputs
SOURCES: Mapping[str, Mapping[str, Source]] = {
    "h": {"H0": Source(0.01)},  # km/s/Mpc
    "n_s": {"ns": Source()},
    "sigma_8": {"sigma8": Source()},
    "Om_c": {
        "omch2": _PHYSICAL,
        "omegach2": _PHYSICAL,
        "omega_cdm": _PHYSICAL,
        "Omega_cdm": Source(),
        "omegac": Source(),
    },
    "Om_b": {
        "ombh2": _PHYSICAL,
        "omegabh2": _PHYSICAL,
        "omega_b": _PHYSICAL,
        "Omega_b": Source(),
        "omegab": Source(),
    },
    "w0": dict.fromkeys(words("w w0_fld w_0 wde w_de w0_de"), Source()),
    "wa": dict.fromkeys(words("wa_fld w_a wa_de"), Source()),
}
# Derived parameters of CAMB and CLASS, for inputs that are not given under any name
ASKED_OF_OTHERS = {"sigma_8": "sigma8", "h": "H0"}

_FIXED: dict[str, Fixed | OneOf] = {
    "omk": FIXED["Omega_k"],
    "omegak": FIXED["Omega_k"],
    "Omega_k": FIXED["Omega_k"],
    "mnu": FIXED["m_nu"],
    "m_ncdm": FIXED["m_nu"],
    "omnuh2": NONE,
    "omeganu": NONE,
    "Omega_fld": NONE,
    "Omega_Lambda": NONE,  # CLASS then uses the fluid with w0_fld instead
    "fluid_equation_of_state": OneOf(("CLP",)),
    "N_ncdm": NONE,
    "nnu": FIXED["Neff"],
    "N_ur": FIXED["Neff"],
    "meffsterile": NONE,
    "TCMB": FIXED["T_CMB"],
    "T_cmb": FIXED["T_CMB"],
    "YHe": YHE,
    "yhe": YHE,
    "nrun": NONE,
    "nrunrun": NONE,
    "alpha_s": NONE,
    "beta_s": NONE,
    "external_primordial_pk": NONE,
    "dark_energy_model": OneOf(("fluid", "ppf", "DarkEnergyFluid", "DarkEnergyPPF")),
}
_SPELLINGS = {  # of likelihoods and other codes
    "Omega_k": "Omk Om_k Ok omega_k OmegaK Omega_K omegaK",
    "m_nu": "m_nu Mnu M_nu sum_mnu summnu Sum_mnu sum_m_nu",
    "Neff": "Neff N_eff neff n_eff Nnu",
    "T_CMB": "T_CMB",
}
_FIXED |= {name: FIXED[ours] for ours, text in _SPELLINGS.items() for name in words(text)}
_FIXED |= dict.fromkeys(words("fR0 f_R0 omega_nu Omega_nu"), NONE)
_DERIVED: dict[str, Callable[[Mapping[str, Any]], Any]] = dict.fromkeys(
    words("omegam Omega_m Om_m OmegaM"), Om_m
)
_DERIVED |= dict.fromkeys(words("omegamh2 ommh2 omh2"), lambda point: Om_m(point) * point["h"] ** 2)
_DERIVED |= dict.fromkeys(words("S8 S_8"), S_8)
_DERIVED |= {"w0pwa": lambda point: point["w0"] + point["wa"]}
# Other names of the amplitude, parameters of the microwave background alone, and settings
_NEUTRAL = words(
    """
    As A_s logA ln10^{10}A_s tau tau_reio zrei z_reio Alens A_lens r r_0.05 At nt ntrun n_t alpha_t
    cosmomc_theta theta_MC_100 thetastar 100*theta_s theta_s_1e2 theta_s_100 theta_H0_range
    pivot_scalar pivot_tensor cs2 cs2_fld use_ppf num_massive_neutrinos neutrino_hierarchy
    standard_neutrino_neff bbn_predictor recombination_model recombination YHe_from_BBN
    halofit_version non_linear_model NonLinear
    lmax kmax k_per_logint lens_potential_accuracy lens_margin lens_output_margin redshifts
    AccuracyBoost lAccuracyBoost lSampleBoost AccuracyTarget accuracy_target DoLateRadTruncation
    nonlinear WantTensors WantTransfer WantCls max_l max_l_tensor max_eta_k max_eta_k_tensor
    min_l_logl_sampling
    output modes lensing l_max_scalars l_max_tensors P_k_max_h/Mpc P_k_max_1/Mpc z_max_pk z_pk
    gauge reio_parametrization accurate_lensing delta_l_max k_per_decade_for_pk non_linear
    nonlinear_min_k_max hmcode_min_k_max
    """
)
NAMES = Vocabulary(_FIXED, _DERIVED, neutral=[*_NEUTRAL, "non linear"])
