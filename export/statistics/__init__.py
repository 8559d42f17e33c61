"""Functions of separation from the spectra of an emulator; see `export.statistics.kinds`."""

from export.statistics.evaluate import NODES, Projection
from export.statistics.kinds import DeltaSigma, Sigma, Statistic, Wp, Xi, statistic

__all__ = ["NODES", "DeltaSigma", "Projection", "Sigma", "Statistic", "Wp", "Xi", "statistic"]
