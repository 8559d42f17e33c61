"""Put results into the README: ``python -m benchmarks.readme``."""

import importlib
import json
import re
from pathlib import Path

from datagen.cli import run
from datagen.files import atomic

__all__ = ["BLOCK", "readme", "rendered"]

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"<!-- (benchmarks\.\w+) (\S+\.json) -->\n(.*?)<!-- end -->", re.DOTALL)


def rendered(module: str, result: str) -> str:
    """What a benchmark's ``render`` makes of its stored result; text goes into a code block."""
    text = importlib.import_module(module).render(json.loads((ROOT / result).read_text())).strip()
    return f"{text}\n" if "|---|" in text else f"```text\n{text}\n```\n"


def readme(path: Path = ROOT / "README.md") -> None:
    """Write every table of the README anew from the JSON file that it names.

    Args:
        path: The README.
    """

    def block(match: re.Match[str]) -> str:
        module, result, _ = match.groups()
        return f"<!-- {module} {result} -->\n{rendered(module, result)}<!-- end -->"

    text = BLOCK.sub(block, path.read_text())
    with atomic(path) as partial:
        partial.write_text(text)


def main(argv: list[str] | None = None) -> None:
    """Command line of `readme`."""
    run(readme, "python -m benchmarks.readme", argv)


if __name__ == "__main__":
    main()
