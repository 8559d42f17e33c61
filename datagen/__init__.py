"""Parameter spaces, designs, and the true power spectra that the emulators learn.

Importing this package loads none of its heavy dependencies (pyccl, Ray, HDF5); its modules do.
"""

import sys

if getattr(sys, "argv", [])[:1] == ["-m"]:  # python -m looks for a command in here
    from hodspectra.ending import start

    start()
