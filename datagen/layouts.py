"""Layouts of tables of linear power: stored quantities, nodes, and CAMB settings.

In flat universes without massive neutrinos the *shape* of P_lin(k), k in 1/Mpc, depends on the
physical densities omega_c = Om_c h^2 and omega_b = Om_b h^2 alone (to 2e-5 for k > 1e-2 1/Mpc): h
and dark energy act through the growth, which sigma_8 absorbs. The tilt is analytic. So a table has
two dimensions, and its nodes may be any cosmologies with the right densities.
"""

from abc import ABC, abstractmethod
from dataclasses import asdict
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from datagen.boltzmann import CONVERGED, N_EFF, T_CMB, amplitudes
from datagen.ccl import camb_power
from datagen.wavenumbers import END, START, continued, coordinates, ln_wavenumbers

__all__ = ["LAYOUTS", "CambPreset", "Layout"]

Array = NDArray[np.float64]
CambPreset = Literal["converged", "pyccl"]

_OM_M = 0.33  # Om_c + Om_b of all nodes


class Layout(ABC):
    """Layout of the table for one CAMB preset.

    Attributes:
        nodes: Default numbers of Chebyshev nodes in both densities.
        tilt: Exponent in the second density, ``omega_b / omega_c^tilt``.
        baryons: Second density in words, for messages.
        n_s: Spectral index of the stored power.
        ln_k: Uniform grid of wavenumbers of the resulting power [ln 1/Mpc], shape (K,).
        modules: Modules whose code determines the numbers.
    """

    nodes: tuple[int, int]
    tilt: float
    baryons: str
    n_s: float
    ln_k: Array
    modules: tuple[str, ...]

    @property
    @abstractmethod
    def width(self) -> int:
        """Number of stored values per node."""

    @abstractmethod
    def node(self, omega_c: float, omega_b: float) -> Array:
        """Run CAMB, and return ln P up to a constant, shape (width,)."""

    @abstractmethod
    def spread(self, stored: Array, omega_c: Array, omega_b: Array) -> Array:
        """Return ln P at `ln_k`, shape (B, K), from interpolated stored values, (B, width)."""

    @abstractmethod
    def key(self) -> dict[str, Any]:
        """Return the settings that determine the stored values, as JSON types."""


def _cosmology(omega_c: float, omega_b: float) -> dict[str, float]:
    h = float(np.sqrt((omega_c + omega_b) / _OM_M))
    return {"Om_c": omega_c / h**2, "Om_b": omega_b / h**2, "h": h}


class _Converged(Layout):
    """Modes at wavenumbers that scale with the sound horizon.

    The wiggles of all cosmologies then lie at the same coordinates, so that 112 CAMB runs are
    enough; at fixed wavenumbers, a thousand are not.
    """

    nodes = (14, 8)
    tilt = 0.5  # excludes universes dominated by baryons
    baryons = "Om_b h / sqrt(Om_c)"
    n_s = 0.0
    ln_k = np.linspace(np.log(5e-5), np.log(1e3), 2048)
    modules = ("datagen.layouts", "datagen.boltzmann", "datagen.wavenumbers")

    @property
    def width(self) -> int:
        return len(coordinates())

    def node(self, omega_c: float, omega_b: float) -> Array:
        """Run CAMB, and return ln P for n_s = 0."""
        ln_k = ln_wavenumbers(omega_c, omega_b)
        modes = amplitudes(_cosmology(omega_c, omega_b), np.exp(ln_k))[0]
        result: Array = 2 * np.log(modes) - 4 * ln_k
        return result

    def spread(self, stored: Array, omega_c: Array, omega_b: Array) -> Array:
        """Evaluate cubic splines, continued as parabolas beyond the last wavenumber."""
        rows = [
            continued(ln_wavenumbers(c, b), ln_P, self.ln_k)
            for ln_P, c, b in zip(stored, omega_c, omega_b, strict=True)
        ]
        return np.array(rows)

    def key(self) -> dict[str, Any]:
        """See `Layout.key`."""
        return {
            "accuracy": asdict(CONVERGED),
            "radiation": [T_CMB, N_EFF],
            "wavenumbers": [START, END, self.width],
            "Om_m": _OM_M,
        }


class _Pyccl(Layout):
    """Linear power with pyccl's defaults: accuracy of CAMB before version 2, up to 10 1/Mpc."""

    nodes = (32, 10)
    tilt = 0.0
    baryons = "Om_b h^2"
    n_s = 0.96
    ln_k = np.log(np.geomspace(5e-5, 1e3, 1200))  # pyccl's own limits of the sigma(M) integral

    modules = ("datagen.layouts", "datagen.ccl")
    _SIGMA_8 = 0.9

    @property
    def width(self) -> int:
        return len(self.ln_k)

    def node(self, omega_c: float, omega_b: float) -> Array:
        """Run CAMB, and return ln P for n_s = 0.96."""
        cosmology = _cosmology(omega_c, omega_b) | {"sigma_8": self._SIGMA_8, "n_s": self.n_s}
        return np.log(camb_power(cosmology, np.exp(self.ln_k)))

    def spread(self, stored: Array, omega_c: Array, omega_b: Array) -> Array:
        """Return the stored values, which are ln P at `ln_k` already."""
        return stored

    def key(self) -> dict[str, Any]:
        """See `Layout.key`."""
        return {"pyccl": version("pyccl"), "sigma_8": self._SIGMA_8, "Om_m": _OM_M}


LAYOUTS: dict[CambPreset, Layout] = {"converged": _Converged(), "pyccl": _Pyccl()}
