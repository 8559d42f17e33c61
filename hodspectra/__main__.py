"""``python -m hodspectra``: the command, also in folders that contain packages of our names."""

import sys
from pathlib import Path

from hodspectra.cli import main
from hodspectra.locate import ROOT

__all__: list[str] = []

if __name__ == "__main__":
    # -m puts the current folder first on the path; do not import what lies there
    here = [entry for entry in sys.path[:1] if Path(entry or ".").resolve() == Path.cwd()]
    sys.path[: len(here)] = [] if str(ROOT) in sys.path[1:] or not here else [str(ROOT)]
    main()
