"""Pages whose code runs: every block of a page in order, what it prints put below it."""

import ast
import contextlib
import importlib
import io
import os
import re
import subprocess
import sys
import unittest
from collections.abc import Iterator
from pathlib import Path

from sybil import Document, Example
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser

__all__ = ["BlockError", "commands", "executed", "help_texts"]

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("datagen", "emulator", "tuning", "export", "benchmarks")


class BlockError(RuntimeError):
    """A code block that failed; the message tells its place, the reason and its output."""


def executed(page: Path, text: str, folder: Path) -> str:
    """A page in Markdown, with the output of every block below it.

    Blocks of ``python`` and ``sh`` run from top to bottom in one folder, those of Python in one
    namespace. ``<!-- skip: next "reason" -->`` keeps the next one from running.

    Args:
        page: The page's file, which messages name.
        text: Its text.
        folder: Where the blocks run.

    Raises:
        BlockError: A block raised an error, or its status is not 0.
    """
    document = Document(text, str(page))
    for parser in (SkipParser(), PythonCodeBlockParser(), CodeBlockParser("sh", _shell)):
        for region in parser(document):
            document.add(region)
    parts, done = [], 0
    with contextlib.chdir(folder):
        for example in document.examples():
            end = example.region.end
            parts += [text[done:end], _output(example)]
            done = end
    return "".join([*parts, text[done:]])


def _output(example: Example) -> str:
    """What a block prints, tables as such and the rest as it is; empty if that is nothing."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        try:
            example.evaluate()
        except unittest.SkipTest:
            return ""
        except Exception as error:
            place = f"{example.path}, line {example.line}"
            raise BlockError(f"{place}: {error}\n{printed.getvalue()}") from error
    lines = printed.getvalue().rstrip()
    if "|---|" in lines:
        return f"\n\n{lines}"
    return f"\n\n```text\n{lines}\n```" if lines else ""


def _shell(example: Example) -> None:
    """Run a block of commands with this Python; progress bars and warnings are not shown."""
    paths = [str(Path(sys.executable).parent), os.environ["PATH"]]
    done = subprocess.run(
        ["sh", "-euc", example.parsed],
        env=os.environ | {"PATH": os.pathsep.join(paths), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    sys.stdout.write(done.stdout)
    if done.returncode:
        raise RuntimeError(f"status {done.returncode}\n{done.stderr}")


def commands() -> Iterator[str]:
    """The modules that are commands: those with a ``main``."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if any(_is_main(node) for node in ast.parse(path.read_text()).body):
                yield ".".join(path.relative_to(ROOT).with_suffix("").parts)


def _is_main(node: ast.stmt) -> bool:
    """Whether it is a function ``main``, or gives one that name."""
    names = [node] if isinstance(node, ast.FunctionDef) else getattr(node, "targets", [])
    return any(getattr(one, "name", getattr(one, "id", "")) == "main" for one in names)


def help_texts() -> str:
    """All commands in Markdown: what each prints for ``--help``, and its subcommands for theirs."""
    parts = []
    for command in commands():
        text = _help(command)
        parts += [f"## {command}", f"```text\n{text}\n```"]
        for name in _subcommands(text):
            parts += [f"### {command} {name}", f"```text\n{_help(command, name)}\n```"]
    return "\n\n".join(parts)


def _help(command: str, *subcommand: str) -> str:
    os.environ["COLUMNS"] = "100"  # argparse asks for the terminal's
    with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.suppress(SystemExit):
        importlib.import_module(command).main([*subcommand, "--help"])
    return printed.getvalue().replace(" \b", "").strip()  # a trick of jsonargparse


def _subcommands(help_text: str) -> list[str]:
    found = re.search(r"\{([\w,]+)\} \.\.\.$", help_text.partition("\n")[0])
    return found[1].split(",") if found else []
