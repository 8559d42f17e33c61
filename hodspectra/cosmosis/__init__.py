"""Emulators as a module of CosmoSIS; ``file =`` in an ini file names ``hodspectra_module.py`` here.

CosmoSIS puts a module's folder first on Python's path, and imports the file by its bare name:
hence a folder of its own, with a file that is called like nothing else.
"""

from hodspectra.cosmosis.hodspectra_module import execute, setup

__all__ = ["execute", "setup"]
