"""Run folders: one command at a time; a rerun resumes the same run, other runs are refused.

``request.json`` identifies the run by content: hashes of the input files and the code, and the
settings. Paths are not part of it, so that folders can be moved. ``config.yaml`` repeats the run.
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
    """Context manager that locks a run folder against a second command.

    Args:
        folder: Run folder, created if missing.
        what: Kind of run, for the message.

    Raises:
        BusyError: Another command is running in the folder.
    """
    with ExitStack() as stack:
        # in a distributed training, the first process holds the lock for all
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
    """Write the identity of a run into its folder, or check that the folder is of the same run.

    Args:
        folder: Run folder.
        config: Arguments that repeat the run; written to ``config.yaml``.
        content: Hashes of the input files and of the code.
        paths: Names of entries of `config` that are paths, and not part of the identity.
        begun: Whether the folder contains results that must not be mixed with another run. If not,
            the folder of a failed run can be used for another one.

    Returns:
        Whether the folder was of another run without results to keep.

    Raises:
        ValueError: The folder contains another run.
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
    """Shorten all SHA-256s in a value to 12 characters, for messages."""
    if isinstance(value, dict):
        return {name: _short(part) for name, part in value.items()}
    is_hash = isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value)
    return f"{value[:12]}..." if is_hash else value
