"""What is not installed, and which extra brings it: ``pip install 'hodspectra[train]'``."""

import re
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, metadata

from hodspectra.locate import PACKAGES, hidden

__all__ = ["EXTRAS", "advice", "extra_of", "is_foreign", "modules"]

NAME = "hodspectra"
EXTRAS = {  # from small to large: what a command does that needs it
    "figures": "draws",
    "datagen": "computes spectra",
    "train": "trains or examines networks",
    "cobaya": "runs inside Cobaya",
    "jax": "translates emulators to JAX",
    "posterior": "samples posteriors",
    "docs": "builds the site",
    "dev": "is for developers",
}
_NEEDS = {  # packages, and modules that need another extra than theirs
    "benchmarks": "train",
    "benchmarks.codes.label_speed": "datagen",
    "benchmarks.codes.peers": "datagen",
    "benchmarks.posterior": "posterior",
    "benchmarks.posterior.survey_tables": "datagen",
    "benchmarks.studies.camb_accuracy": "datagen",
    "benchmarks.studies.convergence": "datagen",
    "benchmarks.studies.gallery": "datagen",
    "datagen": "datagen",
    "emulator": "train",
    "export": "train",
    "export.info": "",
    "export.occupations": "",
    "export.predict": "",
    "export.verify": "datagen",
    "tuning": "train",
}
_IMPORTED_AS = {"pyyaml": "yaml", "myst-parser": "myst_parser"}
_REQUIREMENT = re.compile(r"([\w.-]+).*extra == ['\"]([\w-]+)['\"]")


def modules() -> dict[str, set[str]]:
    """Modules that each extra brings, as the metadata of the installed package says."""
    found: dict[str, set[str]] = {extra: set() for extra in EXTRAS}
    try:
        requirements = metadata(NAME).get_all("Requires-Dist") or []
    except PackageNotFoundError:
        requirements = []
    for requirement in requirements:
        if match := _REQUIREMENT.match(requirement):
            name, extra = match[1].lower(), match[2]
            found.setdefault(extra, set()).add(_IMPORTED_AS.get(name, name.replace("-", "_")))
    return found


def needs(module: str) -> str:
    """The extra that a command's module needs; empty if it needs none."""
    while module and module not in _NEEDS:
        module = module.rpartition(".")[0]
    return _NEEDS.get(module, "")


def extra_of(missing: str, module: str = "", known: Mapping[str, set[str]] | None = None) -> str:
    """The extra to install for a module that is missing.

    Args:
        missing: Its name.
        module: What asked for it. If the extra that this needs brings it, that is the one, so that
            one installation does; else it is the smallest that does.
        known: Modules of each extra; by default those of the metadata.
    """
    brought = modules() if known is None else known
    wanted = needs(module)
    if missing in brought.get(wanted, ()):
        return wanted
    return next((extra for extra in EXTRAS if missing in brought.get(extra, ())), wanted)


def is_foreign(error: ImportError) -> bool:
    """Whether what cannot be imported is not ours, or is hidden by what is not ours."""
    top = (error.name or "").partition(".")[0]
    return top not in (*PACKAGES, NAME) or top in hidden()


def advice(error: ImportError, module: str = "") -> str:
    """One line: what is missing, and the way out.

    Args:
        error: What the import raised.
        module: Dotted name of the command's module; `EXTRAS` say what it does.
    """
    top = (error.name or "").partition(".")[0]
    if top in (taken := hidden()):
        return (
            f"{taken[top]} hides the package {top!r} of hodspectra from Python; rename it, "
            f"or use the command hodspectra in place of python -m"
        )
    extra = extra_of(top, module)
    if not isinstance(error, ModuleNotFoundError) or top in sys.stdlib_module_names or not extra:
        return " ".join(str(error).split())
    return f"this command {EXTRAS[extra]}: pip install '{NAME}[{extra}]' (no module {top!r})"
