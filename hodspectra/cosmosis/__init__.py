"""Emulators as a CosmoSIS module: the folder of ``hodspectra_module.py``, for ``file =``.

CosmoSIS puts the folder of a module first on Python's path, and imports the file by its bare name.
The file therefore has a folder and a name of its own.
"""

from hodspectra.cosmosis.hodspectra_module import execute, setup

__all__ = ["execute", "setup"]
