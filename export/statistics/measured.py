"""Statistics of one emulator, from the outputs that they need."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.interpolate import AtK
from export.onnx_file import OnnxFile
from export.points import as_points
from export.populations import Populations
from export.sessions import Sessions
from export.statistics.evaluate import NODES, Projection
from export.statistics.graph import PREFIX, has_graph, with_statistics
from export.statistics.kinds import RHO_CRITICAL, Statistic
from export.statistics.transition import CutOccupation, MatterAbove, Smaller, largest_mass

__all__ = ["Measured", "Measures"]

Array = NDArray[np.float64]

_FROM, _TO = 0.02, 50.0  # 1/Mpc, highest first and lowest last wavenumber of a grid
_GALAXIES, _ABOVE = "galaxies", "above"  # populations for halo exclusion
_KEPT = 16  # sets of statistics whose matrices are kept


@dataclass(frozen=True)
class Measured:
    """Statistics of an emulator, prepared for evaluation.

    Attributes:
        projection: The statistics.
        at_nodes: Interpolation of spectra to the wavenumbers of the transforms.
        names: Outputs requested besides the statistics.
        needed: Outputs of the emulator that the statistics need.
        everything: `needed` and `names`.
        learnt: Totals that are not the sum of their terms.
        helping: Spectra that are needed on the grid of the emulator alone.
        excluding: Correlations with halo exclusion.
        smaller: Function of a correlation, parameters by name and n_g that returns the power
            outside of large haloes.
        opened: Opens the graph with the statistics; None if a graph cannot compute them.
    """

    projection: Projection
    at_nodes: AtK
    names: tuple[str, ...]
    needed: tuple[str, ...]
    everything: tuple[str, ...]
    learnt: tuple[str, ...]
    helping: tuple[str, ...]
    excluding: tuple[str, ...]
    smaller: Callable[[str, Mapping[str, Any], Array], Smaller]
    opened: Callable[[], Sessions] | None

    @cached_property
    def sessions(self) -> Sessions | None:
        """Sessions of the graph with the statistics; None if a graph cannot compute them."""
        return self.opened() if self.opened else None

    @cached_property
    def _statistics(self) -> dict[str, str]:
        """Names of the statistics in the graph, by their own names."""
        return {n: PREFIX + n for one in self.projection.statistics for n in one.outputs}

    @cached_property
    def _in_graph(self) -> tuple[str, ...]:
        """Outputs of the graph."""
        return (*self.names, *self._statistics.values())

    def of_point(self, values: Sequence[float]) -> tuple[dict[str, Any], dict[str, Array]] | None:
        """`names`, and the statistics (R,), of a single point, computed by the graph.

        None if there is no such graph or a value is NaN; `__call__` then computes the values, or
        raises an error.

        Args:
            values: Values of the parameters.
        """
        if self.sessions is None:
            return None
        found = self.sessions.point(self._in_graph, values)
        if any(one.item(0) != one.item(0) for one in found.values()):  # NaN
            return None
        statistics = {name: found[called] for name, called in self._statistics.items()}
        return {name: found[name] for name in self.names}, statistics

    def split(
        self, theta: Any, units: Mapping[str, str], defaults: Mapping[str, float]
    ) -> tuple[Any, list[tuple[str, Array]]]:
        """Split points into those for the emulator and parameters of the statistics, each (N,).

        Args:
            theta: Points of the emulator, with the parameters of the statistics.
            units: Units of the emulator's parameters by name, in the order of columns.
            defaults: Values of its parameters that may be omitted.

        Raises:
            ValueError: If the statistics have parameters that the points lack.
        """
        wanted = self.projection.parameters
        if not wanted:
            return theta, []
        points = as_points(theta, {**units, **dict.fromkeys(wanted, "Msun")}, defaults)
        own = list(zip(wanted, np.atleast_2d(points)[:, len(units) :].T.astype(float), strict=True))
        for name, values in own:
            for row in np.flatnonzero(~(np.isfinite(values) & (values >= 0)))[:1]:
                raise ValueError(
                    f"row {row}: {name} = {values[row]:g} must be a mass [Msun], not below 0"
                )
        return points[..., : len(units)], own

    def __call__(
        self, on_grid: Mapping[str, NDArray[np.float32]], point: Mapping[str, Any]
    ) -> dict[str, Array]:
        """The statistics by name, each (N, R).

        Args:
            on_grid: Outputs of the emulator by name, including those of `needed`.
            point: Parameters by name, each (N,).
        """
        given = {name: on_grid[name] for name in self.needed}
        spectra: dict[str, Any] = self.at_nodes(given, point, self.helping)
        smaller = {xy: self.smaller(xy, point, spectra["n_g"]) for xy in self.excluding}
        return self.projection(spectra, point, self.learnt, smaller)


class Measures:
    """Statistics of one emulator; those of recent calls are kept.

    Args:
        file: File of the emulator.
        whose: Populations of galaxies of the emulator.
        sessions: Sessions of the graph; None if the occupation is not a part of the graph.
        opened: Function that opens the emulator with another occupation; it returns NaN for points
            out of range.
    """

    def __init__(
        self,
        file: OnnxFile,
        whose: Populations,
        sessions: Sessions | None,
        opened: Callable[[Any], Any],
    ) -> None:
        self._file, self._whose, self._sessions, self._opened = file, whose, sessions, opened
        self._cut: dict[str, Any] = {}
        extras = getattr(whose.each[0].occupation, "extras", ())
        self._damped = "damping" in extras
        self._known: dict[tuple[Any, ...], Measured] = {}
        self._at_nodes: AtK | None = None

    def __call__(self, names: tuple[str, ...], statistics: Sequence[Statistic]) -> Measured:
        """Prepare statistics, and outputs besides them.

        Raises:
            ValueError: If the emulator lacks a spectrum, a population or the wavenumbers that the
                statistics need.
        """
        key = (names, *statistics)
        if key not in self._known:
            if len(self._known) >= _KEPT:
                self._known.clear()
            self._known[key] = self._make(names, statistics)
        return self._known[key]

    def _make(self, names: tuple[str, ...], statistics: Sequence[Statistic]) -> Measured:
        file = self._file
        projection = Projection(statistics)
        for one in statistics:
            self._check(one)
            if clash := [name for name in one.outputs if name in names]:
                raise ValueError(
                    f"{one.kind} is called {clash[0]}, an output that is requested, too; give it "
                    f"another name, name='...'"
                )
        if self._at_nodes is None:
            if file.k[0] > _FROM or file.k[-1] < _TO:
                raise ValueError(
                    f"functions of separation need spectra from {_FROM:g} to {_TO:g} 1/Mpc; the "
                    f"emulator has them from {file.k[0]:g} to {file.k[-1]:g} 1/Mpc"
                )
            self._at_nodes = AtK(
                file.k, NODES, True, file.bao, file.learnt_totals, above=True, damped=self._damped
            )
        projected = projection.spectra(file.learnt_totals)
        spectra = self._at_nodes.needed(projected, tuple(file.units))
        helping = () if "P_lin" in projected else ("P_lin",)
        needed = tuple(dict.fromkeys((*spectra, *projection.numbers)))
        everything = tuple(dict.fromkeys((*needed, *names)))
        excluding = tuple(sorted({one.correlation for one in statistics if one.exclusion}))
        return Measured(
            projection, self._at_nodes, names, needed, everything, file.learnt_totals, helping,
            excluding, self._smaller, self._opener(projection, self._at_nodes),
        )  # fmt: skip

    def _opener(self, projection: Projection, at_nodes: AtK) -> Callable[[], Sessions] | None:
        """See `Measured.opened`."""
        file, sessions = self._file, self._sessions
        if sessions is None or not has_graph(file.graph, at_nodes, projection, file.learnt_totals):
            return None
        return partial(_with_statistics, file, sessions, at_nodes, projection)

    def _smaller(self, correlation: str, point: Mapping[str, Any], n_g: Array) -> Smaller:
        """See `Measured.smaller`."""
        galaxies = CutOccupation(self._whose.each[0].occupation)
        with_matter = correlation == "gm"
        if correlation not in self._cut:
            both = {_GALAXIES: galaxies, _ABOVE: MatterAbove()}
            self._cut[correlation] = self._opened(both if with_matter else galaxies)
        emulator = self._cut[correlation]
        M_cut = largest_mass(point, RHO_CRITICAL)
        N, X = M_cut.shape
        columns = [p for p in emulator.names if not p.endswith("M_cut")]
        # with two populations, names of parameters begin with the name of the population
        known = {n: point.get(n.removeprefix(f"{_GALAXIES}_"), np.zeros(N)) for n in columns}
        rows = {name: np.repeat(values, X) for name, values in known.items()}
        limits = {n: M_cut.ravel() for n in emulator.names if n.endswith("M_cut")}
        prefix = f"{_GALAXIES}_" if with_matter else ""
        n_name, P_name = f"{prefix}n_g", f"{prefix}{correlation}_2h"
        names = ["P_lin", n_name, P_name]
        if with_matter:
            n_above, P_above = f"{_ABOVE}_n_g", f"{_GALAXIES}_{_ABOVE}_gg_2h"
            names += [n_above, P_above]
        found = emulator(rows | limits, names)
        at_nodes = self._at_nodes
        assert at_nodes is not None

        def at(name: str) -> Array:
            spectra = {correlation + "_2h": found[name], "P_lin": found["P_lin"]}
            return at_nodes(spectra, rows)[correlation + "_2h"].reshape(N, X, -1)

        share = found[n_name].reshape(N, X) / n_g[:, None]
        if not with_matter:
            return Smaller.of_galaxies(at(P_name), share)
        Om_m = np.asarray(point["Om_c"], np.float64) + point["Om_b"]
        rho_m = RHO_CRITICAL * Om_m * np.asarray(point["h"], np.float64) ** 2  # Msun / Mpc^3
        above = found[n_above].reshape(N, X) * MatterAbove.MASS / rho_m[:, None]
        return Smaller.of_matter(at(P_name), at(P_above), share, above)

    def _check(self, one: Statistic) -> None:
        if clash := [p.name for p in self._file.parameters if p.name in one.parameters]:
            raise ValueError(
                f"{one.kind}: point_mass = {clash[0]!r} is a parameter of the emulator; give it "
                f"another name"
            )
        known = [population.prefix.removesuffix("_") for population in self._whose.each]
        is_pair = self._whose.is_pair
        if is_pair and not one.of and one.correlation != "mm":
            first, second = known
            raise ValueError(
                f"{one.kind}: there are the populations {first} and {second}; say of={first!r}, or "
                f"of=({first!r}, {second!r}) for their cross correlation"
            )
        if one.of and (not is_pair or list(one.of) != [name for name in known if name in one.of]):
            raise ValueError(
                f"{one.kind}: of = {one.of} must name populations of the emulator, in their order; "
                + (f"there are {' and '.join(known)}" if is_pair else "it has just one")
            )
        if one.exclusion and (self._whose.each[0].added or self._file.nodes is None):
            raise ValueError(
                f"{one.kind}: exclusion is for semi-analytic emulators, and occupations to which "
                f"nothing is added; this one has {self._whose.said}"
            )
        if one.exclusion and json.loads(self._file.texts["halo_model"])["mass_def"] != "200m":
            raise ValueError(f"{one.kind}: exclusion is for haloes of the mass definition 200m")
        needed = [*Projection([one]).spectra(self._file.learnt_totals), *one.needs]
        if missing := [name for name in needed if name not in self._file.units]:
            raise ValueError(
                f"{one.kind} needs {', '.join(missing)}, which the emulator does not have; it has "
                f"{', '.join(self._file.units)}"
            )


def _with_statistics(
    file: OnnxFile, sessions: Sessions, at_nodes: AtK, projection: Projection
) -> Sessions:
    low, high = ({p.name: getattr(p, end) for p in file.parameters} for end in ("low", "high"))
    ends = low | {"h": high["h"]}, high | {"h": low["h"]}  # of lengths in Mpc/h
    rows = {
        PREFIX + name: np.empty((1, len(one)))
        for one in projection.statistics
        for name in one.outputs
    }
    graph, links = with_statistics(file.graph, at_nodes, projection, ends)
    return sessions.beside(graph, rows, links)
