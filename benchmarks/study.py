"""Files of results: where they may go."""

from pathlib import Path

__all__ = ["check_json"]


def check_json(out: Path | None) -> None:
    """Refuse a name for a JSON file that may be that of something else, before it is replaced.

    Raises:
        ValueError: It does not end in .json.
    """
    if out is not None and (out.suffix != ".json" or out.is_dir()):
        raise ValueError(f"out = {out}: the results are JSON; give a name that ends in .json")
