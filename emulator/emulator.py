"""Emulators of all kinds; importing this module registers them for `Emulator.load`."""

from emulator.base import SCHEMA, Emulator, Spec
from emulator.perceptron import NetworkEmulator
from emulator.semianalytic.emulator import SemiAnalyticEmulator
from emulator.storage import EmulatorFileError

__all__ = [
    "SCHEMA",
    "Emulator",
    "EmulatorFileError",
    "NetworkEmulator",
    "SemiAnalyticEmulator",
    "Spec",
]
