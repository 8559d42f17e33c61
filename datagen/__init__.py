"""Parameter spaces, designs, and labels: power spectra of the halo model, which emulators learn.

Importing the package alone loads none of its heavy dependencies (pyccl, Ray, HDF5).
"""

import sys

if getattr(sys, "argv", [])[:1] == ["-m"]:  # python -m is looking for a command in this package
    from hodspectra.ending import start

    start()
