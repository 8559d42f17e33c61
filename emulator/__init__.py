"""The emulators: networks, their scalings, and their training with Lightning."""

import os
import sys

# Threads that wait for others sleep: where they spin, as they do by default, a training beside
# other work is ten times slower. It counts when PyTorch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if getattr(sys, "argv", [])[:1] == ["-m"]:  # python -m looks for a command in here
    from hodspectra.ending import start

    start()
