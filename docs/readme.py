"""Put results into the README and the documents: ``python docs/readme.py``."""

import importlib
import json
import re
from pathlib import Path

from datagen.cli import run
from datagen.files import atomic

__all__ = ["BLOCK", "pages", "readme", "rendered"]

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"<!-- ((?:benchmarks|export)\.[\w.]+) (\S+) -->\n(.*?)<!-- end -->", re.DOTALL)


def rendered(module: str, result: str) -> str:
    """What a benchmark makes of a result, JSON or a file; plain text goes into a code block."""
    path = ROOT / result
    content = json.loads(path.read_text()) if path.suffix == ".json" else path
    text = importlib.import_module(module).render(content).strip()
    return f"{text}\n" if "|---|" in text else f"```text\n{text}\n```\n"


def pages() -> list[Path]:
    """The README and the documents."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def readme() -> None:
    """Write every table of the README and of docs/ anew from the file that it names."""

    def block(match: re.Match[str]) -> str:
        module, result, _ = match.groups()
        return f"<!-- {module} {result} -->\n{rendered(module, result)}<!-- end -->"

    for path in pages():
        text = BLOCK.sub(block, path.read_text())
        with atomic(path) as partial:
            partial.write_text(text)


def main(argv: list[str] | None = None) -> None:
    """Command line of `readme`."""
    run(readme, "python docs/readme.py", argv)


if __name__ == "__main__":
    main()
