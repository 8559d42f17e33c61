"""Run folders: one command at a time, and a rerun goes on with the same work or is refused.

What a folder is for is kept by content, in ``request.json``: hashes of what the paths lead to, the
settings, the code. Where things lie is not part of it, so that folders can be moved.
``config.yaml`` beside it repeats the run.
"""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch.utilities import rank_zero_only

from datagen.files import BusyError, atomic, exclusive
from datagen.shards import differences

__all__ = ["CONFIG_FILE", "check_run_config", "run_lock"]

CONFIG_FILE = "config.yaml"
_REQUEST_FILE = "request.json"


@contextmanager
def run_lock(folder: Path, what: str) -> Iterator[None]:
    """Keep a second command out of a run folder for the block.

    Args:
        folder: The folder, made if it is not there.
        what: What runs in it.

    Raises:
        BusyError: Another one runs in it.
    """
    with ExitStack() as stack:
        # the other processes of a distributed training share the lock of the first
        if getattr(rank_zero_only, "rank", 0) == 0:
            try:
                stack.enter_context(exclusive(folder, folder=True))
            except BusyError as error:
                raise BusyError(f"another {what} runs in {folder}: {error}") from None
        yield


def check_run_config(
    folder: Path,
    config: dict[str, Any],
    content: dict[str, str] | None = None,
    *,
    paths: tuple[str, ...] = (),
    begun: bool = True,
) -> bool:
    """Note what a run folder is for, or check that it is for the same.

    Args:
        folder: The run folder.
        config: What repeats the run; written as ``config.yaml``.
        content: Hashes of what the paths in it lead to, and of the code.
        paths: Names in `config` that say where things lie, and not what they are.
        begun: Whether the folder holds something that must not be mixed with another run. Where
            it does not, a run that failed does not stand in the way of another one.

    Returns:
        Whether the folder was for another run, of which nothing is to be kept.

    Raises:
        ValueError: The folder holds another run.
    """
    config = json.loads(json.dumps(config))  # tuples become lists, as they are read back
    settings = {name: value for name, value in config.items() if name not in paths}
    request = settings | (content or {})
    path, config_path = folder / _REQUEST_FILE, folder / CONFIG_FILE
    is_other = False
    if path.exists():
        if differ := differences(_short(_read(path)), _short(request)):
            if begun:
                raise ValueError(
                    f"{folder} holds a run with other settings ({'; '.join(differ)}); repeat "
                    f"them to go on, or choose another folder"
                )
            is_other = True
    elif config_path.exists():
        raise ValueError(
            f"{config_path} is of an older version or was put there by hand; choose another "
            f"folder, or move it elsewhere"
        )
    for file, text in (
        (path, json.dumps(request, indent=1)),
        (config_path, yaml.safe_dump(config, sort_keys=False)),
    ):
        if not file.exists() or file.read_text() != text:
            with atomic(file) as partial:
                partial.write_text(text)
    return is_other


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except ValueError as error:
        raise ValueError(
            f"{path} is damaged ({error}); choose another folder, or move this one elsewhere"
        ) from None


def _short(value: Any) -> Any:
    """The same with SHA-256s cut to what tells them apart."""
    if isinstance(value, dict):
        return {name: _short(part) for name, part in value.items()}
    is_hash = isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value)
    return f"{value[:12]}..." if is_hash else value
