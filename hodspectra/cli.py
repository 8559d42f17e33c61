"""The command ``hodspectra``, also ``python -m hodspectra``: runs all commands by name."""

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
    """Run the command named by the first argument, with the remaining arguments."""
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
        f"{PROG} --version prints version and location, {PROG} cite the citation.",
    ]
    return "\n".join(lines) + "\n"


def version_text() -> str:
    """Version, folder and Python, in the format of pip."""
    from hodspectra import __version__

    python = ".".join(map(str, sys.version_info[:2]))
    return f"{PROG} {__version__} from {ROOT / PROG} (Python {python})\n"


def citation() -> str:
    """The text of CITATION.cff, from the source tree or the installed package."""
    in_tree = ROOT / "CITATION.cff"
    if in_tree.is_file():
        return in_tree.read_text(encoding="utf-8")
    from importlib.metadata import distribution

    return distribution(PROG).read_text("licenses/CITATION.cff") or "see CITATION.cff\n"


def _refuse(name: str) -> NoReturn:
    """Report an unknown command and the nearest names, and exit with status 2."""
    what = "option" if name.startswith("-") else "command"
    near = get_close_matches(name.replace("_", "-"), COMMANDS)
    by_module = [n for n, c in COMMANDS.items() if c.module == name]
    hint = f"did you mean {' or '.join(by_module or near)}? " if by_module or near else ""
    sys.stderr.write(f"{PROG}: error: no {what} {name!r}; {hint}{PROG} --help lists the commands\n")
    sys.exit(2)
