"""How good and how fast: labels and emulators against other codes, measured, never asserted."""

import sys

if getattr(sys, "argv", [])[:1] == ["-m"]:  # python -m looks for a command in here
    from hodspectra.ending import start

    start()
