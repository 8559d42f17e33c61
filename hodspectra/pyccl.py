"""Emulators as power spectra of pyccl: ``from hodspectra.pyccl import HaloModelPk``."""

from typing import TYPE_CHECKING

from hodspectra.locate import ours

if TYPE_CHECKING:
    from export.adapters.for_pyccl import HaloModelPk
else:
    HaloModelPk = ours("export.adapters.for_pyccl").HaloModelPk

__all__ = ["HaloModelPk"]
