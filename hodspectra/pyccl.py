"""Emulators as power spectra of pyccl: ``from hodspectra.pyccl import HaloModelPk``."""

from typing import TYPE_CHECKING

from hodspectra.locate import adapter

if TYPE_CHECKING:
    from export.adapters.for_pyccl import HaloModelPk
else:
    HaloModelPk = adapter("pyccl").HaloModelPk

__all__ = ["HaloModelPk"]
