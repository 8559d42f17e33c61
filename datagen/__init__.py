"""Parameter spaces, designs, and the true power spectra that the emulators learn.

Importing this package loads none of its heavy dependencies (pyccl, Ray, HDF5); its modules do.
"""
