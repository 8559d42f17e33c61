"""Extensions of any occupation: ``zheng07+off_centring+damping``.

Each extension adds a few parameters, whose defaults change nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from datagen.occupations.base import Moments, Occupation, parameter
from datagen.occupations.functions import Functions
from datagen.outputs import output
from datagen.parameters import Parameter

__all__ = [
    "C_SAT",
    "EXTRAS",
    "TRANSITION",
    "Extended",
    "central_profile",
    "damping",
    "parameters_of",
    "total",
    "totals_of",
]

C_SAT = parameter(
    "c_sat", (0.2, 2.0), r"c_\mathrm{sat} / c",
    "Concentration of satellites over that of their halo.", valid=(0.1, 5.0), default=1.0,
)  # fmt: skip
TRANSITION = parameter(
    "alpha_trans", (0.5, 1.5), r"\alpha_\mathrm{tr}",
    "Exponent of the sum of both terms: below 1 their transition is smoother.",
    valid=(0.1, 3.0), default=1.0,
)  # fmt: skip
EXTRAS: dict[str, tuple[Parameter, ...]] = {
    "incompleteness": (
        parameter("f_inc", (0.05, 1.0), r"f_\mathrm{inc}",
                  "Fraction of all galaxies that are in the sample, selected at random.",
                  valid=(1e-6, 1.0), default=1.0),
    ),
    "c_sat": (
        C_SAT,
    ),
    "off_centring": (
        parameter("p_off", (0.0, 1.0), r"p_\mathrm{off}",
                  "Fraction of central galaxies that are off the centre of their halo.",
                  default=0.0),
        parameter("R_off", (0.0, 0.5), r"R_\mathrm{off}",
                  "Comoving distance [Mpc] of off-centred galaxies from the centre: the scale of a "
                  "Rayleigh distribution in projection.",
                  "Mpc", valid=(0.0, 5.0), default=0.0),
    ),
    "damping": (
        parameter("k_damp", (0.0, 0.3), r"k_\ast",
                  "Wavenumber [1/Mpc] below which 1-halo terms are damped.", "1/Mpc",
                  valid=(0.0, 10.0), default=0.0),
    ),
    "transition": (TRANSITION,),
}  # fmt: skip
"""Parameters of each extension. Off-centring: Hikage et al. 2013, MNRAS 435, 2345. Damping and
transition: Mead et al. 2021, MNRAS 502, 1401, and pyccl's ``suppress_1h`` and
``smooth_transition``."""


class Extended(Occupation):
    """An occupation with extensions.

    Args:
        base: Occupation to extend.
        extras: Names of the extensions, of `EXTRAS`.

    Raises:
        ValueError: An extension is unknown or given twice.
    """

    name = "extended"
    source = ""
    parameters = ()

    def __init__(self, base: Occupation, extras: Sequence[str]) -> None:
        if unknown := [name for name in extras if name not in EXTRAS]:
            raise ValueError(
                f"no addition {unknown[0]!r} to an occupation; there are {', '.join(EXTRAS)}"
            )
        if len(set(extras)) < len(extras):
            raise ValueError(f"{base.name} with {' and '.join(extras)}: an addition is there twice")
        self.base, self.extras = base, tuple(extras)
        name = "+".join([base.name, *extras])
        given = [*base.parameters, *parameters_of(extras)]
        vars(self).update(
            name=name,
            source=base.source,
            width=base.width,
            parameters=tuple(replace(p, group=name) for p in given),
        )

    def moments(self, M: Any, p: Mapping[str, Any], f: Functions) -> Moments:
        """See `Occupation.moments`."""
        moments = self.base.moments(M, p, f)
        if "incompleteness" not in self.extras:
            return moments
        share = p["f_inc"]
        N_c, N_s, both, pairs = moments
        pair = share * share
        return Moments(share * N_c, share * N_s, pair * both, pair * pairs)

    def cuts(self, p: Mapping[str, float]) -> Sequence[float]:
        """See `Occupation.cuts`."""
        return self.base.cuts(p)

    def features(self, p: Mapping[str, Any], f: Functions) -> Sequence[Any]:
        """See `Occupation.features`."""
        return self.base.features(p, f)

    def threshold(self, p: Mapping[str, Any]) -> tuple[Any, Any] | None:
        """See `Occupation.threshold`."""
        return self.base.threshold(p)


def parameters_of(extras: Iterable[str]) -> tuple[Parameter, ...]:
    """Return the parameters of extensions, in order."""
    return tuple(p for extra in extras for p in EXTRAS[extra])


def totals_of(occupation: Occupation, outputs: Iterable[str]) -> list[str]:
    """Return those outputs that are totals but not sums: all totals, with ``transition``."""
    is_smooth = "transition" in occupation.extras
    return [name for name in outputs if is_smooth and output(name).is_total]


def central_profile(k: Any, p: Mapping[str, Any], f: Functions) -> Any:
    """Fourier profile of central galaxies, ``1 - p_off [1 - exp(-k^2 R_off^2 / 2)]``.

    Args:
        k: Wavenumbers [1/Mpc].
        p: Parameters by name, with ``p_off`` and ``R_off`` [Mpc]; they broadcast with k.
        f: Functions for arrays of this type.
    """
    kR = k * p["R_off"]
    return 1.0 - p["p_off"] * (1.0 - f.exp(kR * kR * -0.5))


def damping(k: Any, p: Mapping[str, Any], f: Functions) -> Any:
    """Factor of 1-halo terms, ``(k / k_damp)^4 / [1 + (k / k_damp)^4]``; k, k_damp in 1/Mpc."""
    ratio = p["k_damp"] / k
    square = ratio * ratio
    return 1.0 / (1.0 + square * square)


def total(one: Any, two: Any, p: Mapping[str, Any], f: Functions) -> Any:
    """Total of a 1-halo and a 2-halo term, ``(P_1h^a + P_2h^a)^(1/a)`` with a = alpha_trans."""
    a = p["alpha_trans"]
    return f.power(f.power(one, a) + f.power(two, a), 1.0 / a)
