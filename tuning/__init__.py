"""The search for good hyperparameters: Ray Tune, with Optuna's Bayesian samplers."""
