"""Find and check configuration files."""

from collections.abc import Iterator
from pathlib import Path

import yaml

from datagen.messages import did_you_mean

__all__ = ["SHIPPED", "find_config"]

_ROOT = Path(__file__).resolve().parent.parent
# beside the packages in a source tree, inside hodspectra in an installation
SHIPPED = next((f for f in (_ROOT / "hodspectra", _ROOT) if (f / "configs").is_dir()), _ROOT)


def find_config(name: str) -> Path:
    """Return the path of a configuration file, after checking that it is readable YAML.

    Args:
        name: Path of a file, or of one that comes with the package: ``configs/quick/labels.yaml``.

    Raises:
        FileNotFoundError: There is no such file in either place.
        ValueError: The file is not YAML, is not a mapping of options, or has an option twice.
    """
    path = Path(name)
    if not path.exists():
        path = SHIPPED / name
    if not path.is_file():
        known = (p.relative_to(SHIPPED).as_posix() for p in SHIPPED.glob("configs/*/*.yaml"))
        what = "is not a file" if path.exists() else "does not exist"
        raise FileNotFoundError(f"the configuration {name} {what}{did_you_mean(name, known)}")
    try:
        tree = yaml.compose(path.read_text(encoding="utf-8-sig"), Loader=yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise ValueError(f"the configuration {name} is not text in UTF-8 ({error})") from error
    except (yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split()).replace('in "<unicode string>", ', "at ")
        raise ValueError(f"the configuration {name} is not YAML ({reason})") from error
    if not isinstance(tree, yaml.MappingNode):
        raise ValueError(f"the configuration {name} has no options; write them as 'name: value'")
    if twice := next(_repeated(tree), None):
        raise ValueError(f"the configuration {name} gives {twice}; keep one of them")
    return path


def _repeated(node: yaml.Node, prefix: str = "") -> Iterator[str]:
    """Duplicate options, of which YAML would silently take the last."""
    if isinstance(node, yaml.SequenceNode):
        for part in node.value:
            yield from _repeated(part, prefix)
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[str] = set()
    for key, value in node.value:
        name = f"{prefix}{key.value}"
        if name in seen:
            yield f"{name} twice, again in line {key.start_mark.line + 1}"
        seen.add(name)
        yield from _repeated(value, f"{name}.")
