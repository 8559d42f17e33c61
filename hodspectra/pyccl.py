"""Emulators in pyccl: power spectra, and their projections on the sky.

``from hodspectra.pyccl import HaloModelPk, angular_power, gamma_t, w_theta``
"""

from typing import TYPE_CHECKING

from hodspectra.locate import adapter, ours

if TYPE_CHECKING:
    from export.adapters.for_pyccl import HaloModelPk
    from export.adapters.pyccl_projections import angular_power, gamma_t, w_theta
else:
    HaloModelPk = adapter("pyccl").HaloModelPk
    _projections = ours("export.adapters.pyccl_projections")
    angular_power, gamma_t = _projections.angular_power, _projections.gamma_t
    w_theta = _projections.w_theta

__all__ = ["HaloModelPk", "angular_power", "gamma_t", "w_theta"]
