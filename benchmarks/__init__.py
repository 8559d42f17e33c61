"""Accuracy and speed of labels and emulators, compared with other codes."""

import sys
import warnings

# whole boxes of points are evaluated, and compared with labels that leave out the same haloes
warnings.filterwarnings("ignore", message=".* below the lowest halo mass")
warnings.filterwarnings("ignore", message=".* too sharp for the grid of halo masses")

if getattr(sys, "argv", [])[:1] == ["-m"]:  # python -m looks for a command in here
    from hodspectra.ending import start

    start()
