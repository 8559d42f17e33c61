"""Studies: a measurement with its table and figures, and the code that runs it.

The measurement is a function of settings that returns plain numbers. `Study` adds the command line,
the folder for results, and the record of how they were made.

Some commands are not studies. `benchmarks.posterior.fit` has a run directory that can be resumed,
and draws samples that are not part of its numbers. `benchmarks.studies.gallery` only draws figures.
`benchmarks.studies.front_page` shows stored results of three studies, and
`benchmarks.posterior.survey_tables` converts files.
"""

import json
import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from datagen.cli import run
from datagen.figures import save_figure, style
from datagen.files import atomic, exclusive
from datagen.record import provenance

__all__ = ["Result", "Study", "environment"]

Result = dict[str, Any]


@dataclass(frozen=True)
class Study:
    """A study and its command.

    Attributes:
        name: Name of its files, and of its default folder in ``runs``.
        measure: Function of the settings that returns plain numbers. Functions that write other
            files also take the folder, as ``out``.
        table: Function that formats the results, or stored ones, as Markdown.
        figures: Function that draws figures of the results, by name.
        page: Whether `measure` writes a page ``NAME.html`` to the folder.
        words: Option whose value is the positional arguments, see `datagen.cli.run`.
    """

    name: str
    measure: Callable[..., Result]
    table: Callable[[Result], str]
    figures: Callable[[Result], Mapping[str, Figure]] | None = None
    page: bool = False
    words: str = ""

    def run(self, out: Path, **settings: Any) -> Result:
        """Measure, write the results, and print the table.

        Args:
            out: Folder for the results.
            settings: Arguments of `measure`.

        Returns:
            The results, with their ``settings`` and ``environment``.

        Raises:
            ValueError: `out` is a file, or has the name of one.
            BusyError: Another process writes to the folder.
        """
        if out.suffix == ".json" or out.is_file():
            raise ValueError(
                f"out = {out} must be a folder, for {self.name}.json and other results"
            )
        asked = signature(self.measure).parameters
        given = {n: p.default for n, p in asked.items() if n != "out"} | settings
        with exclusive(out, folder=True):
            found = self.measure(**settings, **({"out": out} if "out" in asked else {}))
            result = {**found, "settings": _plain(given), "environment": environment()}
            table = self.table(result)
            texts = {"json": json.dumps(result, indent=1), "md": table}
            for suffix, text in texts.items():
                with atomic(out / f"{self.name}.{suffix}") as partial:
                    partial.write_text(f"{text}\n", encoding="utf-8")
            with style():
                for name, figure in (self.figures(result) if self.figures else {}).items():
                    save_figure(figure, out / name)
        where = out / f"{self.name}.html" if self.page else out
        print(f"{table}\n\n{where}")  # noqa: T201
        return result

    def main(self, argv: list[str] | None = None) -> None:
        """Run the command line: the options of `measure`, and ``out``."""
        run(self._command(), f"python -m {self._module}", argv, self.words)

    @property
    def _module(self) -> str:
        """Name of the command's module, also if it runs as ``__main__``."""
        name = self.measure.__module__
        spec = getattr(sys.modules[name], "__spec__", None)
        return spec.name if spec else name

    def _command(self) -> Callable[..., Result]:
        """`run` with the signature and docstring for the command line."""
        own = signature(self.measure)
        out = Parameter(
            "out", Parameter.KEYWORD_ONLY, default=Path("runs") / self.name, annotation=Path
        )
        others = [p.replace(kind=Parameter.KEYWORD_ONLY) for n, p in own.parameters.items()
                  if n != "out"]  # fmt: skip

        @wraps(self.measure)
        def command(**settings: Any) -> Result:
            return self.run(**settings)

        text = self.measure.__doc__ or ""
        if "out" not in own.parameters:
            more = " and figures" if self.figures else ""
            says = f"out: Folder for ``{self.name}.json``, ``{self.name}.md``{more}."
            text = text.replace("Args:\n", f"Args:\n        {says}\n", 1)
        command.__doc__ = text
        command.__signature__ = own.replace(parameters=[*others, out])  # type: ignore[attr-defined]
        command.__annotations__ = {**self.measure.__annotations__, "out": Path}
        return command


def environment() -> dict[str, str]:
    """Return machine, Python, commit, code and versions of packages."""
    return {"machine": platform.machine(), "python": platform.python_version()} | provenance()


def _plain(value: Any) -> Any:
    """Settings as JSON; paths are reduced to their last part, to be the same on all machines."""
    if isinstance(value, Path):
        return value.name
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(part) for part in value]
    if isinstance(value, str) and Path(value).is_absolute():
        return Path(value).name
    return value
