"""The search for good hyperparameters: Ray Tune, with Optuna's Bayesian samplers."""

import sys

if getattr(sys, "argv", [])[:1] == ["-m"]:  # python -m looks for a command in here
    from hodspectra.ending import start

    start()
