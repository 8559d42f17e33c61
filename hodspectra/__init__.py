"""Emulators of the power spectra of the halo model: the user interface.

`load` opens an emulator and `emulators` lists the shipped ones. ``hodspectra.cobaya``,
``hodspectra.pyccl`` and ``hodspectra.cosmosis`` are adapters; ``hodspectra --help`` lists the
commands. Everything is imported on first use.
"""

from typing import TYPE_CHECKING, Any

from hodspectra.locate import ours

if TYPE_CHECKING:
    from datagen.occupations import OCCUPATIONS, Moments, Occupation, independent, with_central
    from export.lowest_mass import BelowLowestMassWarning
    from export.populations import OccupationError
    from export.ranges import OutOfRange, OutOfRangeWarning
    from export.runtime import OnnxEmulator, OnnxEmulatorError, load
    from export.sharp_thresholds import SharpThresholdWarning
    from export.statistics import DeltaSigma, Sigma, Wp, Xi

    __version__: str

__all__ = [
    "OCCUPATIONS",
    "BelowLowestMassWarning",
    "DeltaSigma",
    "Moments",
    "Occupation",
    "OccupationError",
    "OnnxEmulator",
    "OnnxEmulatorError",
    "OutOfRange",
    "OutOfRangeWarning",
    "SharpThresholdWarning",
    "Sigma",
    "Wp",
    "Xi",
    "__version__",
    "emulators",
    "independent",
    "load",
    "with_central",
]

_HOMES = {
    "OCCUPATIONS": "datagen.occupations",
    "BelowLowestMassWarning": "export.lowest_mass",
    "DeltaSigma": "export.statistics",
    "Moments": "datagen.occupations",
    "Occupation": "datagen.occupations",
    "OccupationError": "export.populations",
    "OnnxEmulator": "export.runtime",
    "OnnxEmulatorError": "export.runtime",
    "OutOfRange": "export.ranges",
    "OutOfRangeWarning": "export.ranges",
    "SharpThresholdWarning": "export.sharp_thresholds",
    "Sigma": "export.statistics",
    "Wp": "export.statistics",
    "Xi": "export.statistics",
    "independent": "datagen.occupations",
    "load": "export.runtime",
    "with_central": "datagen.occupations",
}


def emulators() -> dict[str, str]:
    """Return one-line descriptions of the shipped emulators, by name.

    Examples:
        >>> import hodspectra
        >>> "tinker10" in hodspectra.emulators()
        True
    """
    summaries: dict[str, str] = ours("export.info").summaries()
    return summaries


def __getattr__(name: str) -> Any:
    if name == "__version__":
        value = _version()
    elif name in _HOMES:
        value = getattr(ours(_HOMES[name]), name)
    else:
        raise AttributeError(f"module 'hodspectra' has no attribute {name!r}")
    globals()[name] = value
    return value


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("hodspectra")
    except PackageNotFoundError:  # a source tree that was never installed
        return "unknown"


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
