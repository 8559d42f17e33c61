"""The emulators: networks, their scalings, and their training with Lightning."""

import sys

if getattr(sys, "argv", [])[:1] == ["-m"]:  # python -m looks for a command in here
    from hodspectra.ending import start

    start()
