"""An emulator in Cobaya: a theory and a likelihood for input files.

Their names are ``hodspectra.cobaya.HaloModel`` and ``hodspectra.cobaya.Gaussian``.
"""

from typing import TYPE_CHECKING

from hodspectra.locate import adapter, ours

if TYPE_CHECKING:
    from export.adapters.cobaya_likelihood import Gaussian
    from export.adapters.for_cobaya import HaloModel
else:
    HaloModel = adapter("cobaya").HaloModel
    Gaussian = ours("export.adapters.cobaya_likelihood").Gaussian

__all__ = ["Gaussian", "HaloModel"]
