"""Occupations of one's own, in plain numpy, as users write them; workers import them from here."""

import numpy as np

__all__ = ["Delegate", "Evolving", "Kinked", "Smooth", "Step"]


class Step:
    """What zehavi05 is: galaxies above a mass, none below."""

    parameters = {"log10Mmin": (11, 15), "log10M1": (11, 15.5), "alpha": (0.5, 2.5)}

    def moments(self, M, p, f):
        N_c = np.where(np.log10(M) >= p["log10Mmin"], 1.0, 0.0)
        N_s = N_c * (M / 10 ** p["log10M1"]) ** p["alpha"]
        return N_c, N_s, N_s, N_s * N_s


class Kinked:
    """A step for centrals, satellites that begin with a kink."""

    parameters = {"log10Mmin": (11, 15), "log10M0": (11, 15), "slope": (0.3, 2)}

    def moments(self, M, p, f):
        N_c = 0.7 * (10 ** p["log10Mmin"] < M)
        N_s = (np.maximum(M - 10 ** p["log10M0"], 0.0) / 1e14) ** p["slope"]
        return N_c, N_s, N_c * N_s, N_s**2


class Evolving(Step):
    """As `Step`, with a threshold that depends on redshift and matter density."""

    def moments(self, M, p, f):
        moved = 0.2 * p["z"] - p["Om_c"] - p["Om_b"]
        return super().moments(M, {**p, "log10Mmin": p["log10Mmin"] + moved}, f)


class Smooth:
    """Written with the functions it is handed, and as smooth as it says."""

    width = 0.5
    parameters = {"log10Mmin": (11, 15), "log10M1": (11, 15.5)}

    def moments(self, M, p, f):
        N_c = 0.5 + 0.5 * f.erf((f.log(M) - np.log(10) * p["log10Mmin"]) / (2**0.5 * self.width))
        N_s = N_c * M * f.exp(-np.log(10) * p["log10M1"])
        return N_c, N_s, N_s, N_s * N_s


class Delegate:
    """Another occupation, integrated, as it does not say how wide its features are.

    Args:
        given: Which one.
        ranges: Of its parameters.
    """

    def __init__(self, given, ranges=None):
        self.given = given
        self.parameters = ranges or {p.name: p.range for p in given.parameters}

    def moments(self, M, p, f):
        return self.given.moments(M, p, f)
