"""Missing packages, and the extras that install them: ``pip install 'hodspectra[train]'``."""

import re
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, metadata

from hodspectra.locate import PACKAGES, hidden

__all__ = ["EXTRAS", "advice", "extra_of", "is_foreign", "modules"]

NAME = "hodspectra"
EXTRAS = {  # from small to large: what the commands that need it do
    "figures": "draws",
    "datagen": "computes spectra",
    "train": "trains or examines networks",
    "cobaya": "runs inside Cobaya",
    "jax": "translates emulators to JAX",
    "posterior": "samples posteriors",
    "docs": "builds the site",
    "dev": "is for developers",
}
_NEEDS = {  # extra of each package, and of modules that need another one
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
    """Modules that each extra installs, from the metadata of the installed package."""
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
    """The extra that a command's module needs; empty if none."""
    while module and module not in _NEEDS:
        module = module.rpartition(".")[0]
    return _NEEDS.get(module, "")


def extra_of(missing: str, module: str = "", known: Mapping[str, set[str]] | None = None) -> str:
    """The extra to install for a missing module.

    Args:
        missing: Name of the missing module.
        module: Module that imports it. Its own extra is preferred if it brings the missing module,
            so that one installation is enough; else the smallest extra that does is returned.
        known: Modules of each extra; default: from the metadata.
    """
    brought = modules() if known is None else known
    wanted = needs(module)
    if missing in brought.get(wanted, ()):
        return wanted
    return next((extra for extra in EXTRAS if missing in brought.get(extra, ())), wanted)


def is_foreign(error: ImportError) -> bool:
    """Whether an import failed for a module of others, or because others hide one of ours."""
    top = (error.name or "").partition(".")[0]
    return top not in (*PACKAGES, NAME) or top in hidden()


def advice(error: ImportError, module: str = "") -> str:
    """One line that says what is missing, and how to install it.

    Args:
        error: Error of the import.
        module: Dotted name of the command's module.
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
