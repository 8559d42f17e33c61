"""The semi-analytic emulator: a network for the cosmology, formulas and integrals for the rest."""
