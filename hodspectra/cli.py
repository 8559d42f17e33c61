"""The command ``hodspectra``, also ``python -m hodspectra``: all commands under one name."""

import importlib
import sys
from difflib import get_close_matches
from typing import NoReturn

from hodspectra.commands import COMMANDS, GROUPS
from hodspectra.ending import called, ending
from hodspectra.locate import ROOT, claim

__all__ = ["main"]

PROG = "hodspectra"


def main(argv: list[str] | None = None) -> None:
    """Run the command that the first word names, with the words after it."""
    words = sys.argv[1:] if argv is None else list(argv)
    with ending(PROG):
        if not words or (words[0] in ("-h", "--help", "help") and not words[1:]):
            sys.stdout.write(help_text())
            return
        if words[0] in ("-V", "--version"):
            sys.stdout.write(version_text())
            return
        if words == ["cite"]:
            sys.stdout.write(citation())
            return
        if words[0] == "help":
            words = [words[1], "--help"]
    name, *arguments = words
    if name not in COMMANDS:
        _refuse(name)
    claim()
    module = COMMANDS[name].module
    with called(f"{PROG} {name}"), ending(f"python -m {module}"):
        importlib.import_module(module).main(arguments)


def help_text() -> str:
    """All commands by group, a line for each, with the extra that it needs."""
    lines = [
        f"usage: {PROG} COMMAND [--option VALUE ...]",
        f"       {PROG} COMMAND --help",
        "",
        "Emulators of the power spectra of the halo model.",
    ]
    for group, commands in GROUPS.items():
        lines += ["", f"{group}:"]
        for name, command in commands.items():
            needed = f"[{command.extra}]" if command.extra else ""
            lines.append(f"  {name:19s} {command.does:52s} {needed}".rstrip())
    lines += [
        "",
        f"A name in brackets is an extra that the command needs: pip install '{PROG}[train]'.",
        f"{PROG} --version tells what is installed and where, {PROG} cite what to cite.",
    ]
    return "\n".join(lines) + "\n"


def version_text() -> str:
    """Version, folder and Python, as pip tells them."""
    from hodspectra import __version__

    python = ".".join(map(str, sys.version_info[:2]))
    return f"{PROG} {__version__} from {ROOT / PROG} (Python {python})\n"


def citation() -> str:
    """What to cite, as CITATION.cff: it comes with the package's licences."""
    in_tree = ROOT / "CITATION.cff"
    if in_tree.is_file():
        return in_tree.read_text(encoding="utf-8")
    from importlib.metadata import distribution

    return distribution(PROG).read_text("licenses/CITATION.cff") or "see CITATION.cff\n"


def _refuse(name: str) -> NoReturn:
    """End, with the nearest names of commands."""
    what = "option" if name.startswith("-") else "command"
    near = get_close_matches(name.replace("_", "-"), COMMANDS)
    by_module = [n for n, c in COMMANDS.items() if c.module == name]
    hint = f"did you mean {' or '.join(by_module or near)}? " if by_module or near else ""
    sys.stderr.write(f"{PROG}: error: no {what} {name!r}; {hint}{PROG} --help lists the commands\n")
    sys.exit(2)
