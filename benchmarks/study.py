"""What every study is, measurement, table and figures, and what runs it.

The function takes settings and returns plain numbers. `Study` gives it the command line, the folder
for the results and the record of how they were made, so that a study is one file with what is its
own.

Some commands are no studies. `benchmarks.posterior.fit` is a tool: its folder is a run, which can
be resumed and belongs to its settings, and its figures are of samples that its numbers do not hold.
`benchmarks.studies.gallery` draws, and measures nothing. `benchmarks.studies.front_page` shows what
three studies have stored, and `benchmarks.posterior.survey_tables` converts files.
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
    """One study, and how it is run.

    Attributes:
        name: Of its files, and of the folder in ``runs`` that they go to if none is named.
        measure: Takes settings, returns what it found as plain numbers. One that keeps more than
            these takes the folder, too, as ``out``.
        table: Makes Markdown of what it found, and of what is stored.
        figures: Makes figures of that, by name.
        page: Whether `measure` leaves a page ``NAME.html`` in the folder.
        words: Option that words without a name are the value of, see `datagen.cli.run`.
    """

    name: str
    measure: Callable[..., Result]
    table: Callable[[Result], str]
    figures: Callable[[Result], Mapping[str, Figure]] | None = None
    page: bool = False
    words: str = ""

    def run(self, out: Path, **settings: Any) -> Result:
        """Measure, write and print.

        Args:
            out: Folder for the results.
            settings: Arguments of `measure`.

        Returns:
            What it found, with its ``settings`` and the ``environment`` that it was found in.

        Raises:
            ValueError: `out` is a file, or is called like one.
            BusyError: Another process writes in the folder.
        """
        if out.suffix == ".json" or out.is_file():
            raise ValueError(
                f"out = {out} must be a folder, for {self.name}.json and what goes with it"
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
        """The command line: options of `measure`, and ``out``."""
        run(self._command(), f"python -m {self._module}", argv, self.words)

    @property
    def _module(self) -> str:
        """Whose command this is, also if that is what runs."""
        name = self.measure.__module__
        spec = getattr(sys.modules[name], "__spec__", None)
        return spec.name if spec else name

    def _command(self) -> Callable[..., Result]:
        """`run` with the signature and docstring that the command line is made of."""
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
    """Where numbers are measured: machine, Python, commit, code and versions."""
    return {"machine": platform.machine(), "python": platform.python_version()} | provenance()


def _plain(value: Any) -> Any:
    """Settings as JSON has them; of paths their last part, which is the same on any machine."""
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
