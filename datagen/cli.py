"""Command lines from function signatures: ``--help``, YAML files, dotted overrides, errors.

`hodspectra.ending` handles errors and signals. SIGINT, SIGTERM and SIGHUP are raised as
`Interrupted`, a SystemExit with the status 128 + the signal's number, which no
``except Exception`` catches, not even those of Lightning and Ray. Clean up in ``finally``; `run`
prints the line "interrupted; rerun the command to resume" and sets the status.
"""

import re
import sys
from argparse import Action, ArgumentTypeError
from collections.abc import Callable, Sequence
from dataclasses import fields
from inspect import signature
from itertools import takewhile
from typing import Any, NoReturn, get_args, get_origin, get_type_hints

from jsonargparse import ArgumentParser, DefaultHelpFormatter, auto_cli

from datagen.configs import find_config
from datagen.messages import did_you_mean
from datagen.space import Range, Space
from hodspectra.ending import Interrupted, ending, name_of

__all__ = ["Interrupted", "run"]

_OF_ITS_OWN = r"--\1: expected options of its own (--\1.NAME) or a YAML file of them, got \2"
# patterns in jsonargparse's texts, and their replacements
_PLAIN = (
    (r"``(.+?)``", r"\1"),
    (r"<class '(?:\w+\.)*(\w+)'>", r"\1"),
    (r"\b(?:typing|pathlib|collections\.abc)\.", ""),
    (r"\bOptional\[(.*?)\](?=[,)])", r"\1"),
    (r"Literal\[(.*?)\]", lambda match: match[1].replace("'", "").replace(", ", " | ")),
    (r"\(required, (type: .*?), default: ", r"(\1, default: "),
    (r'^(?:Validation failed: )?Parser key "([\w.]+)":', r"--\1:"),
    (r"--(\S+): - Expected a path but .*Subtypes: .*Given value: (.*)", _OF_ITS_OWN),
    (r"(.*) Does not validate .*Subtypes: \[(.*)\] Errors: .*Given value: (.*)",
     r"\1 Expected a \2. Got value: \3"),
    (r'--(\S+): Unable to load config .*Unable to load config "(.*)"$',
     _OF_ITS_OWN),
    (r"Expected an? (.*)\. Got value: (.*)", r"expected \1, got \2"),
    (r"(?<=expected )(?:list|tuple|Sequence)\b(?:\[[^]]*\])?", "a list ([first, second])"),
    (r"(?<=[\w)]), NoneType(?=,)", " or null"),
)  # fmt: skip


def run(
    command: Callable[..., Any] | dict[str, Any],
    prog: str,
    argv: list[str] | None = None,
    words: str = "",
) -> Any:
    """Call a function with arguments from the command line.

    Options are the function's arguments (``--design.points 500``). ``--config FILE`` reads them
    from YAML, later options override earlier ones, and ``--print_config`` prints them all. User
    errors and signals print one line, see `hodspectra.ending`.

    Args:
        command: Function, or functions by name, which become subcommands.
        prog: Name of the command, as in ``python -m datagen.generate``.
        argv: Arguments; by default those of this process.
        words: Name of the option that takes a word before the first option as its value; with a
            ``+`` at the end, it takes all such words as a list.

    Returns:
        The result of the function.
    """
    word = f"{words.removesuffix('+').upper()} " if words else ""
    usage = f"%(prog)s {word}[--config FILE] [--option VALUE ...]"
    options: dict[str, Any] = {
        "prog": name_of(prog),
        # for subcommands, jsonargparse's own usage line lists their names
        "usage": None if isinstance(command, dict) else usage,
        "as_positional": False,
        "allow_abbrev": False,
        "parser_class": _Parser,
        "formatter_class": _Formatter,
        "set_defaults": _unset(command),
    }
    with ending(prog, resumable=True):
        return auto_cli(command, args=_arguments(argv, words, _lists(command)), **options)


def _arguments(argv: list[str] | None, words: str, lists: set[str]) -> list[str]:
    """Translate arguments of users to those of jsonargparse.

    Words before the first option become the value of the option ``words``. Words after an option
    of a list type become its value (``--outputs gg_1h gg_2h``). The file of ``--config`` may be
    one of the package's.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    first = list(takewhile(_is_word, arguments)) if words else []
    if not words.endswith("+"):
        del first[1:]
    read = [f"--{words}={word}" for word in first]
    del arguments[: len(first)]
    while arguments:
        name, equals, value = arguments.pop(0).partition("=")
        values = list(takewhile(_is_word, arguments)) if name in lists and not equals else []
        if name == "--config" and (equals or arguments):
            read.append(f"--config={find_config(value if equals else arguments.pop(0))}")
        elif values and not values[0].startswith("["):
            del arguments[: len(values)]
            read.append(f"{name}=[{','.join(values)}]")
        else:
            read.append(name + equals + value)
    return read


def _is_word(argument: str) -> bool:
    """Whether an argument is a value, such as a negative number, and not an option."""
    return not argument.startswith("-") or argument[1:2].isdigit()


def _lists(command: Callable[..., Any] | dict[str, Any]) -> set[str]:
    """Options of a function that take a list."""
    if isinstance(command, dict):
        return set()
    hints = get_type_hints(command)
    return {
        f"--{name}"
        for name, hint in hints.items()
        if any(get_origin(part) in (list, tuple, Sequence) for part in (hint, *get_args(hint)))
    }


def _unset(command: Callable[..., Any] | dict[str, Any]) -> dict[str, None]:
    """Options that are null by default: ranges of a space, which depend on its occupation."""
    if isinstance(command, dict):
        return {}
    defaults = {name: p.default for name, p in signature(command).parameters.items()}
    spaces = {name: value for name, value in defaults.items() if isinstance(value, Space)}
    return {f"{name}.{one}": None for name, space in spaces.items() for one in space.usual}


def _plain(text: str) -> str:
    """Remove Python's type names and docstring markup from a text of jsonargparse."""
    text = " ".join(text.split())
    for pattern, replacement in _PLAIN:
        text = re.sub(pattern, replacement, text)
    return text


class _Formatter(DefaultHelpFormatter):
    """Help without Python's type names, with the fields of a range in one line."""

    def add_argument(self, action: Action) -> None:
        if not any(option.endswith(".help") for option in action.option_strings):
            super().add_argument(action)

    def _format_action_invocation(self, action: Action) -> str:
        if getattr(action, "_typehint", None) == Range | None:
            return f"{action.option_strings[0]}.{{{','.join(one.name for one in fields(Range))}}}"
        return super()._format_action_invocation(action)

    def _expand_help(self, action: Action) -> str:
        text = _plain(super()._expand_help(action))
        return text.removesuffix(" (type: Range | null, default: null)")


class _Parser(ArgumentParser):
    """Parser with one-line errors that suggest the closest option."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        parser = getattr(ex, "subcommand_parser", None) or self
        options = [name for action in parser._actions for name in action.option_strings]
        ranges = [o.removesuffix("help") for o in options if o.endswith(".help")]  # of a space
        options += [option + one.name for option in ranges for one in fields(Range)]
        message = _with_suggestions(_innermost(message), options)
        if not self.exit_on_error:  # a nested parser of an option; the outer one quotes its message
            raise ArgumentTypeError(message)
        text = _plain(message)
        sys.stderr.write(f"{parser.prog}: error: {text}; {parser.prog} --help lists the options\n")
        self.exit(2)


def _innermost(message: str) -> str:
    """The innermost error in a message about an option that may be null."""
    of = r'(?s)Parser key "([\w.]+)":.*Subtypes.*?'
    message = re.sub(of + r'- Parser key "(\w+)":(.*?Given value: [^\n]*).*',
                     r'Parser key "\1.\2":\3', message)  # fmt: skip
    return re.sub(of + r"- no option (\w+)(?: \(did you mean '(\w+)'\?\))?.*",
                  lambda found: f"no option {found[1]}.{found[2]}"
                  + (f" (did you mean '{found[1]}.{found[3]}'?)" if found[3] else ""),
                  message)  # fmt: skip


def _with_suggestions(message: str, options: list[str]) -> str:
    """Add the closest known options to a message about unknown ones."""
    if match := re.fullmatch(r"unrecognized arguments: (.*)", message, re.DOTALL):
        told = [
            word + (did_you_mean(word.partition("=")[0], options) if word[:1] == "-" else "")
            for word in match[1].split()
        ]
        return f"unrecognized arguments: {' '.join(told)}"
    group = re.search(r"Group '([\w.]+)' does not accept option '([\w.]+)'", message)
    if unknown := group or re.search(r"Option '([\w.]+)' is not accepted", message):
        name = ".".join(unknown.groups())
        return f"no option {name}{did_you_mean(name, [o.lstrip('-') for o in options])}"
    return message
