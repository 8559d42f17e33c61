"""Search for hyperparameters with Ray Tune and Optuna's Bayesian samplers."""

import sys

if getattr(sys, "argv", [])[:1] == ["-m"]:  # python -m is looking for a command in this package
    from hodspectra.ending import start

    start()
