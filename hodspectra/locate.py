"""Import our packages from where they are installed, even if other packages have their names.

``export``, ``emulator`` and ``benchmarks`` are common names of folders, and Python imports the
first one on its path, often in the folder of the running script. In such a script, `ours` loads our
modules under other names, so that both can be used side by side. `claim` reserves the plain names
in a process that runs only our code.
"""

import builtins
import importlib
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import find_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["PACKAGES", "ROOT", "adapter", "claim", "hidden", "hides_ours", "ours"]

PACKAGES = ("datagen", "emulator", "tuning", "export", "benchmarks")
ROOT = Path(__file__).resolve().parent.parent
_ASIDE = "hodspectra.aside"  # parent of modules whose plain names are taken


def hidden() -> dict[str, str]:
    """Names of our packages for which Python finds another package, and its location."""
    found = {}
    for name in PACKAGES:
        module = sys.modules.get(name)
        spec = find_spec(name) if module is None else getattr(module, "__spec__", None)
        origin = getattr(module, "__file__", None) or (spec and spec.origin)
        if not origin or Path(origin).resolve() != ROOT / name / "__init__.py":
            found[name] = str(origin or "a folder of that name")
    return found


def hides_ours(folder: Path) -> bool:
    """Whether a folder that comes first on Python's path would hide one of our packages."""
    specs = {name: PathFinder.find_spec(name, [str(folder)]) for name in PACKAGES}
    return any(
        spec and spec.origin and Path(spec.origin).resolve() != ROOT / name / "__init__.py"
        for name, spec in specs.items()
    )


def ours(name: str) -> ModuleType:
    """Import one of our modules, by its dotted name.

    If another package has the name of one of ours, all of ours are loaded below
    ``hodspectra.aside`` instead, and import each other there.
    """
    top = name.partition(".")[0]
    is_aside = f"{_ASIDE}.{top}" in sys.modules  # perhaps of a pickle from elsewhere
    taken = hidden()
    is_settled = top in sys.modules and top not in taken  # loaded under its plain name
    aside = taken and (is_aside or not is_settled)
    return importlib.import_module(f"{_ASIDE}.{name}" if aside else name)


def adapter(host: str) -> ModuleType:
    """Import our adapter for another code.

    Raises:
        ModuleNotFoundError: The other code is not installed.
    """
    try:
        return ours(f"export.adapters.for_{host}")
    except ModuleNotFoundError as error:
        if error.name != host:
            raise
        raise ModuleNotFoundError(
            f"hodspectra.{host} works inside {host}, which is not installed: pip install {host}",
            name=host,
        ) from error


def claim() -> None:
    """Reserve the names of our packages in this process, which runs our commands only."""
    if not any(isinstance(finder, _Claimed) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Claimed())


class _Claimed(MetaPathFinder):
    """Finds our packages by location, before all other finders."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        folder = ROOT / fullname
        return (
            spec_from_file_location(
                fullname, folder / "__init__.py", submodule_search_locations=[str(folder)]
            )
            if fullname in PACKAGES
            else None
        )


class Aside(MetaPathFinder):
    """Finds ``hodspectra.aside.export.runtime`` in the place of ``export.runtime``."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        top = fullname.removeprefix(f"{_ASIDE}.").partition(".")[0]
        if not fullname.startswith(f"{_ASIDE}.") or top not in PACKAGES:
            return None
        spec = PathFinder.find_spec(fullname, path)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _AsideLoader(fullname, spec.loader.path)
        return spec


class _AsideLoader(SourceFileLoader):
    """Runs a module whose import statements find our packages in ``hodspectra.aside``."""

    def exec_module(self, module: ModuleType) -> None:
        # documented for `exec`: a module finds its builtins, and so __import__, by this name
        module.__dict__["__builtins__"] = vars(builtins) | {"__import__": _import_aside}
        super().exec_module(module)


def _import_aside(
    name: str,
    globals: Mapping[str, Any] | None = None,  # noqa: A002 (Python's names)
    locals: Mapping[str, Any] | None = None,  # noqa: A002
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> ModuleType:
    if level or name.partition(".")[0] not in PACKAGES:
        return builtins.__import__(name, globals, locals, fromlist or (), level)
    module = importlib.import_module(f"{_ASIDE}.{name}")
    if not fromlist:  # ``import export.info`` binds ``export``
        return sys.modules[f"{_ASIDE}.{name.partition('.')[0]}"]
    return builtins.__import__(module.__name__, globals, locals, fromlist, 0)
