"""An emulator as a theory of Cobaya: ``hodspectra.cobaya.HaloModel`` in an input file."""

from typing import TYPE_CHECKING

from hodspectra.locate import adapter

if TYPE_CHECKING:
    from export.adapters.for_cobaya import HaloModel
else:
    HaloModel = adapter("cobaya").HaloModel

__all__ = ["HaloModel"]
