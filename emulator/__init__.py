"""Emulators: networks, scalings, semi-analytic emulators, and training with Lightning."""

import os
import sys

# Waiting threads sleep. By default they spin, which makes a training beside other work ten times
# slower. PyTorch reads this when it is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if getattr(sys, "argv", [])[:1] == ["-m"]:  # python -m is looking for a command in this package
    from hodspectra.ending import start

    start()
