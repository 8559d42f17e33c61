"""One thread for OpenMP and BLAS, which read this when they are loaded."""

import os

__all__: list[str] = []

os.environ["OMP_NUM_THREADS"] = "1"
