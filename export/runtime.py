"""Evaluate an ONNX emulator with numpy and onnxruntime alone."""

import copy
import json
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datagen.columns import numbers
from datagen.domain import Domain
from datagen.fields import RecordError
from datagen.messages import did_you_mean
from datagen.space import SumBelow
from export.between import merged
from export.derivatives import Beside, directions, stencil
from export.given_sessions import GivenSessions, is_matter, with_populations
from export.graph import Graph
from export.interpolate import AtK
from export.lowest_mass import BelowLowestMassWarning, LowestMass
from export.onnx_file import SCHEMA, OnnxEmulatorError, OnnxFile
from export.points import as_points
from export.populations import Populations, populations
from export.ranges import OutOfRange, OutOfRangeWarning, Parameter, Policy, Ranges
from export.sessions import Sessions
from export.sharp_thresholds import SharpThresholds, SharpThresholdWarning
from export.shipped import find
from export.statistics import Statistic
from export.statistics.measured import Measured, Measures

__all__ = ["SCHEMA", "OnnxEmulator", "OnnxEmulatorError", "load"]

_NO_ROWS = np.empty(0, np.intp)
# Point of `OnnxEmulator.example`: cosmology of Planck Collaboration VI 2020, CMASS-like galaxies.
_TYPICAL = {
    "Om_c": 0.26, "Om_b": 0.049, "h": 0.68, "sigma_8": 0.81, "n_s": 0.966, "z": 0.5,
    "alpha": 1.0, "sigma": 0.5, "Mth": 1e13, "Mprime": 2e14, "beta": 1.0,
    "log10Mmin": 13.0, "sigma_logM": 0.3, "log10M0": 13.0, "log10M1": 14.1,
}  # fmt: skip
CHUNK = 256  # rows of one evaluation: bounds the memory, and keeps intermediates in the cache


class OnnxEmulator:
    """An emulator of power spectra in one ONNX file; `load` opens it.

    It can be called from several threads at once, and pickled for worker processes. It is
    immutable: attributes and arrays are read-only, and dictionaries are copies.

    Attributes:
        path: The file.
        content: The bytes of the file.
        threads: Number of threads of one evaluation.
        out_of_range: Default treatment of points outside the trained ranges.
        parameters: Input parameters, in the order of columns.
        names: Names of the parameters.
        outputs: Names of spectra and derived numbers, such as ``gg_1h`` and ``n_g``.
        k: Wavenumbers [1/Mpc], shape (K,).
        learnt_totals: Totals that are predicted separately, and are not the sum of their terms.
        domains: Regions of the trained ranges to which the emulator is restricted, if any.
        occupation: The occupation that was given, or None.
        populations: Populations of galaxies of the emulator.
        can_change: Whether the occupation can be replaced, as in semi-analytic emulators.
        sessions: Sessions of onnxruntime: `export.sessions.Sessions`, or
            `export.given_sessions.GivenSessions` if the occupation is integrated in Python.

    Args:
        path_or_name: A file of ``hodspectra export``, or the name of a shipped emulator.
        threads: Number of threads of one evaluation.
        out_of_range: Default treatment of points outside the trained ranges: ``raise``, ``warn``,
            ``nan`` or ``clip``; see `export.ranges.Ranges.apply`.
        occupation: Occupation of a semi-analytic emulator, in place of the one in its file: a name
            (see `datagen.occupations`), an object with ``parameters`` and ``moments``, or two
            populations, ``{"red": ..., "blue": ...}``, with their cross power. Points then have
            the parameters of this occupation.

    Raises:
        FileNotFoundError: No such file or name.
        OccupationError: Unknown or invalid occupation.
        OnnxEmulatorError: The file is damaged, modified, of another schema, or not an emulator.
    """

    path: Path
    content: bytes  # a session cannot be pickled, its file can
    threads: int
    out_of_range: Policy
    parameters: tuple[Parameter, ...]
    names: tuple[str, ...]
    outputs: tuple[str, ...]
    k: NDArray[np.float64]
    learnt_totals: tuple[str, ...]
    domains: tuple[Domain | SumBelow, ...]
    occupation: Any
    populations: Populations
    can_change: bool
    _file: OnnxFile
    _inputs: dict[str, str]
    _defaults: dict[str, float]
    _ranges: Ranges
    _lowest_mass: LowestMass
    _sharp_thresholds: SharpThresholds
    sessions: Sessions | GivenSessions
    _galaxies: list[str]
    _is_pair: bool
    _is_number: dict[str, bool]
    _last_k: tuple[AtK, tuple[bool, bool]] | None
    _measures: Measures
    _is_wider: bool

    def __init__(
        self,
        path_or_name: str | Path,
        threads: int = 1,
        out_of_range: Policy = "raise",
        occupation: Any = None,
    ) -> None:
        path = find(path_or_name)
        self.__setstate__(
            {
                "path": path,
                "content": path.read_bytes(),
                "threads": threads,
                "out_of_range": out_of_range,
                "occupation": occupation,
                "_is_wider": False,
            }
        )

    def __getstate__(self) -> dict[str, Any]:
        names = ("path", "content", "threads", "out_of_range", "occupation", "_is_wider")
        return {name: getattr(self, name) for name in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        path, threads = state["path"], state["threads"]
        if not _is_count(threads):
            raise ValueError(f"threads = {threads!r} must be at least 1, a whole number")
        file, galaxies = OnnxFile.read(state["content"], path), state["occupation"]
        if state["_is_wider"]:
            try:
                file = file.wider
            except RecordError as error:
                raise OnnxEmulatorError(f"{path} is damaged or forged: {error}") from None
        integrated = False
        whose = populations(file.occupation if galaxies is None else galaxies)
        if galaxies is not None:
            file, integrated = with_populations(file, whose, path)
        names = tuple(p.name for p in file.parameters)
        ranges = Ranges(file.parameters, file.domains)
        ranges.apply(np.empty((0, len(names))), state["out_of_range"])  # checks the policy
        sessions: Sessions | GivenSessions
        if integrated and file.nodes:
            sessions = GivenSessions(file.graph, whose, file.nodes, names, path, threads)
        else:
            sessions = Sessions(file.graph, path, threads)
        vars(self).update(
            state,
            threads=int(threads),
            parameters=file.parameters,
            names=names,
            outputs=tuple(file.units),
            k=file.k,
            learnt_totals=file.learnt_totals,
            domains=file.domains,
            populations=whose,
            can_change=file.nodes is not None,
            _file=file,
            _inputs={p.name: p.unit for p in file.parameters},
            _defaults={p.name: p.default for p in file.parameters if p.default is not None},
            _ranges=ranges,
            _lowest_mass=_lowest_mass(file, whose),
            _sharp_thresholds=SharpThresholds(
                names, file.nodes.spacing if file.nodes else 0.0, file.k[-1], whose, self._numbers
            ),
            sessions=sessions,
            _galaxies=[name for name in file.units if not is_matter(name)],
            _is_pair=whose.is_pair,
            _is_number=sessions.check(names, tuple(file.units), len(file.k)),
            _last_k=None,
            _measures=Measures(
                file,
                whose,
                None if isinstance(sessions, GivenSessions) else sessions,
                lambda galaxies: OnnxEmulator(path, threads, "nan", galaxies).wider,
            ),
        )

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(
            f"{name} of an emulator cannot be changed; load another one, or pass the new value to "
            f"the call"
        )

    def __delattr__(self, name: str) -> NoReturn:
        self.__setattr__(name, None)

    def __repr__(self) -> str:
        model = json.loads(self._file.texts["halo_model"])
        fits = [model[n] for n in ("mass_function", "halo_bias", "concentration") if n in model]
        made_of = ", ".join([str(model.get("model", "unknown")), *fits])
        whose = "occupations" if self.populations.is_pair else "occupation"
        lines = [
            f"<OnnxEmulator {self.path.stem}",
            f"  halo model  {made_of}",
            f"  {whose:11s} {self.populations.said}",
            f"  outputs     {', '.join(self.outputs)}",
            f"  k           {self.k[0]:g} to {self.k[-1]:g} 1/Mpc, {len(self.k)} values",
        ]
        groups: dict[str, list[str]] = {}
        for p in self.parameters:
            unit = f" {p.unit}" if p.unit != "1" else ""
            text = f"{p.name} {p.low:g}..{p.high:g}{unit}"
            groups.setdefault(p.group, []).append(text)
        lines += [f"  {group:11s} {', '.join(texts)}" for group, texts in groups.items()]
        lines += [f"  but not     where {domain.reason}" for domain in self.domains]
        return "\n".join(lines) + ">"

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """Lower and upper end of the trained range of each parameter, by name."""
        return {p.name: (p.low, p.high) for p in self.parameters}

    @property
    def example(self) -> dict[str, float]:
        """A valid point: a cosmology close to Planck 2018, massive galaxies at z = 0.5."""
        middle = {p.name: _middle(p) for p in self.parameters}
        known = {name: value for name, value in _TYPICAL.items() if name in middle}
        return middle | {
            name: value
            for name, value in known.items()
            if self.ranges[name][0] <= value <= self.ranges[name][1]
        }

    def sample(self, n: int, seed: int = 1) -> dict[str, NDArray[np.float64]]:
        """Random points, uniform in the trained ranges (some masses in their logarithm).

        Args:
            n: Number of points.
            seed: Seed of the random numbers.

        Returns:
            Arrays of shape (n,) by parameter.

        Raises:
            ValueError: n is not a positive integer, or seed not a valid seed.
        """
        if not _is_count(n):
            raise ValueError(f"n = {n!r} must be a number of points, at least 1")
        try:
            rng = np.random.default_rng(seed)
        except (TypeError, ValueError):
            raise ValueError(f"seed = {seed!r} must be a whole number, at least 0") from None
        found = np.empty((0, len(self.names)))
        while len(found) < n:
            unit = rng.random((2 * n, len(self.names)))
            columns = [_from_unit(p, u) for p, u in zip(self.parameters, unit.T, strict=True)]
            x = np.stack(columns, axis=1)
            found = np.concatenate([found, x[self.is_inside(x)]])
        return dict(zip(self.names, found[:n].T, strict=True))

    def plot(
        self,
        theta: ArrayLike | Mapping[str, ArrayLike] | None = None,
        outputs: str | Sequence[str] | None = None,
        k: ArrayLike | None = None,
    ) -> Any:
        """Plot spectra against k, with a panel for each of mm, gm, gg and a line for each term.

        Args:
            theta: One or a few points; `example` by default.
            outputs: Names of spectra; all by default.
            k: Wavenumbers [1/Mpc], shape (K',); `k` by default.

        Returns:
            A matplotlib figure, which notebooks display; ``.savefig("spectra.png")`` saves it.

        Raises:
            ImportError: matplotlib is not installed.
            ValueError: None of the outputs is a spectrum; and see `__call__`.
        """
        from export.figures import spectra_figure

        wanted = None if outputs is None else self._named(outputs)
        names = [n for n in wanted or self.outputs if not self._is_number[n] and n != "P_lin"]
        if not names:
            raise ValueError(f"none of {', '.join(wanted or self.outputs)} is a spectrum to plot")
        found = self(self.example if theta is None else theta, names, k)
        return spectra_figure(self.k if k is None else np.asarray(k), found)

    @property
    def wider(self) -> "OnnxEmulator":
        """This emulator at more wavenumbers, for other k and functions of separation.

        The emulator itself if its file has no more wavenumbers, as for networks.
        """
        return self._with_more if len(self._file.more_k) else self

    @cached_property
    def _with_more(self) -> "OnnxEmulator":
        other = OnnxEmulator.__new__(OnnxEmulator)
        other.__setstate__(self.__getstate__() | {"_is_wider": True})
        return other

    @cached_property
    def _own_k(self) -> NDArray[np.bool_]:
        """Mask of the wavenumbers of `wider` that belong to this emulator."""
        return merged(self.k, self._file.more_k)[1]

    @property
    def units(self) -> dict[str, str]:
        """Units of the outputs by name, a copy."""
        return dict(self._file.units)

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata of the file, a copy.

        Halo model, versions, commit, hash of the labels, training, accuracy, citation.
        """
        texts = self._file.texts.items()
        others = {name: json.loads(text) for name, text in texts if name != "record"}
        return others | {"record": copy.deepcopy(self._file.record)}

    def __call__(
        self,
        theta: ArrayLike | Mapping[str, ArrayLike],
        outputs: str | Statistic | Sequence[str | Statistic] | None = None,
        k: ArrayLike | None = None,
        *,
        out_of_range: Policy | None = None,
        extrapolate: bool = False,
    ) -> dict[str, NDArray[Any]]:
        """Evaluate spectra, derived numbers and statistics at one or many points.

        Args:
            theta: The points, in one of these forms: a mapping from `names` to numbers or arrays
                (N,); a table or structured array with these columns (pandas, polars, xarray,
                pyarrow, astropy); an array (N, P) or (P,) with columns in the order of `names`.
                Masses are in Msun, unless the name begins with log10. Quantities with units are
                converted. Parameters with a default (w0 = -1, wa = 0) or a single value may be
                omitted if names are given.
            outputs: Names of outputs, and statistics such as ``Wp(r_p)``; all names by default.
                Only the necessary parts of the graph are evaluated. The first call for a new set
                of outputs prepares it, which takes some milliseconds, for statistics some tenths
                of a second.
            k: Wavenumbers [1/Mpc], shape (K',); `k` by default.
            out_of_range: Treatment of points outside the trained ranges: ``raise``, ``warn``,
                ``nan`` or ``clip``.
            extrapolate: Allow k below those of the emulator; see `export.interpolate`.

        Returns:
            Arrays by name: spectra [Mpc^3] of shape (N, K), derived numbers (N,), and statistics
            (N, R). For a single point the first axis is omitted.

        Raises:
            OutOfRange: NaN, or a value outside the trained range; the message names row,
                parameter, value and limits. Also for points at which the true spectrum is
                negative, which were excluded from the training.
            ValueError: Missing or unknown names, a wrong shape, or values that are not numbers.

        Warns:
            BelowLowestMassWarning: Many galaxies would live in haloes below the lowest mass of the
                halo model; see `export.lowest_mass`.
            SharpThresholdWarning: A threshold is too sharp for the grid of halo masses; see
                `export.sharp_thresholds`.

        Examples:
            >>> from hodspectra import Wp, load
            >>> emulator = load("tinker10", occupation="zheng07")
            >>> result = emulator(emulator.example | {"z": [0.0, 0.5]}, ["gg_total", "n_g"])
            >>> result["gg_total"].shape, result["n_g"].shape
            ((2, 50), (2,))
            >>> w_p = Wp([1.0, 10.0], pi_max=100)
            >>> emulator(emulator.example, w_p)["w_p"].round()  # Mpc
            array([200.,  41.])
            >>> emulator(emulator.example | {"sigma_8": 2.0})
            Traceback (most recent call last):
            export.ranges.OutOfRange: ...
        """
        measured = None
        if outputs is not None and type(outputs) is not str:
            outputs = _listed(outputs)
            measured = self._statistics(outputs)
        own: Sequence[tuple[str, NDArray[np.float64]]] = ()
        if measured is not None:
            names = measured.names
            theta, own = measured.split(theta, self._inputs, self._defaults)
        else:
            names = self.outputs if outputs is None else self._named(outputs)
        if k is None and not out_of_range and not own:
            is_row = type(theta) is np.ndarray and theta.ndim == 2 and len(theta) == 1
            point = self._ranges.single(theta[0] if is_row else theta)  # type: ignore[index]
            if point is not None:  # the call in every step of a sampler
                found = self._single(names, point, measured)
                return {n: np.asarray(one)[None] for n, one in found.items()} if is_row else found
        x, lost, single = self._points(theta, out_of_range)
        at_k = None if k is None else self.at_wavenumbers(k, extrapolate)
        if measured is not None:
            results = self._measure(measured, x, own, at_k)
        elif 0 < len(x) <= CHUNK:
            results = self._chunk(names, x, at_k)
        else:
            results = self._many(names, x, at_k)
        self._lose(results, lost, out_of_range)
        self._tell(x, names, measured, results)
        return {name: one[0] for name, one in results.items()} if single else results

    def jacobian(
        self,
        theta: ArrayLike | Mapping[str, ArrayLike],
        outputs: str | Statistic | Sequence[str | Statistic] | None = None,
        parameters: str | Sequence[str] | None = None,
        k: ArrayLike | None = None,
        *,
        out_of_range: Policy | None = None,
    ) -> dict[str, dict[str, NDArray[np.float64]]]:
        """Derivatives of outputs with respect to parameters, ``found["gg_total"]["sigma_8"]``.

        The graph itself is differentiated, in single precision; see `export.derivatives`. For
        occupations that are integrated in Python, and for halo exclusion, derivatives are
        differences of four evaluations per parameter, with errors mostly below 1e-4 of the largest
        derivative of an output with respect to the parameter.

        Args:
            theta: Points; see `__call__`.
            outputs: Names of outputs and statistics; see `__call__`.
            parameters: Names of parameters; by default all that are not fixed.
            k: Wavenumbers [1/Mpc]; see `__call__`.
            out_of_range: Treatment of points outside the trained ranges; see `__call__`.

        Returns:
            Arrays by output and by parameter: spectra (N, K), numbers (N,), statistics (N, R), in
            units of the output over those of the parameter (masses: per Msun). For a single point
            the first axis is omitted.

        Raises:
            OutOfRange: See `__call__`.
            ValueError: See `__call__`; unknown or fixed parameters; statistics with parameters of
                their own.

        Examples:
            >>> from hodspectra import load
            >>> emulator = load("tinker10", occupation="zheng07")
            >>> slopes = emulator.jacobian(emulator.example, ["gg_total", "b_eff"], "sigma_8")
            >>> slopes["gg_total"]["sigma_8"].shape
            (50,)
            >>> float(slopes["b_eff"]["sigma_8"].round(1))
            -2.5
        """
        outputs = self.outputs if outputs is None else _listed(outputs)
        measured = self._statistics(outputs)
        if measured is not None and (own := measured.projection.parameters):
            raise ValueError(
                f"derivatives: {', '.join(own)} are parameters of statistics, which are linear in "
                f"them; leave them out, or take hodspectra.jax"
            )
        columns = self._columns(parameters)
        x, lost, single = self._points(theta, out_of_range)
        if not len(x):
            shapes = {name: one.shape[1:] for name, one in self(x, outputs, k).items()}
            slopes = {name: np.empty((0, len(columns), *shape)) for name, shape in shapes.items()}
        elif (found := self._exact(x, outputs, measured, columns, k)) is not None:
            slopes = found
        else:
            calls = stencil(x, self.parameters, columns, self.domains)
            rows = calls.points.reshape(-1, x.shape[1])
            with warnings.catch_warnings():
                for told in (BelowLowestMassWarning, SharpThresholdWarning):  # of the points
                    warnings.simplefilter("ignore", told)
                around = self(rows, outputs, k, out_of_range="nan")
            slopes = {name: calls.derivatives(values) for name, values in around.items()}
        self._tell(x, self._named(outputs) if measured is None else (), measured, {})
        result: dict[str, dict[str, NDArray[np.float64]]] = {}
        for name, each in slopes.items():
            each[lost] = np.nan
            result[name] = {
                self.names[column]: each[0, i] if single else each[:, i]
                for i, column in enumerate(columns)
            }
        return result

    def _exact(
        self,
        x: NDArray[np.float32],
        outputs: Any,
        measured: Measured | None,
        columns: list[int],
        k: ArrayLike | None,
    ) -> dict[str, NDArray[np.float64]] | None:
        """Derivatives (N, D, ...) of outputs by name, from the graph; None if it has none."""
        sessions = self.sessions if measured is None and k is None else self.wider.sessions
        if isinstance(sessions, GivenSessions) or (measured and measured.excluding):
            return None
        names = measured.names if measured else self._named(outputs)
        at_k = None if k is None else self.at_wavenumbers(k, False)
        needed = self._needed(names, measured, at_k)
        results: list[dict[str, NDArray[np.float64]]] = []
        for point in x:
            scales = directions(point, self.parameters, columns)
            found = sessions.slopes(needed, point, scales)
            if found is None:
                return None
            if at_k is None and measured is None:
                steps = scales[range(len(columns)), columns].astype(np.float64)
                results.append({n: (one.T / steps).T for n, one in found[1].items()})
            else:
                beside = Beside(*found, point, scales)
                given = dict(zip(self.names, beside.points.T, strict=True))
                results.append(
                    beside.slopes(self._from_grid(beside.values, given, names, measured, at_k))
                )
        return {name: np.array([one[name] for one in results]) for name in results[0]}

    def _columns(self, parameters: str | Sequence[str] | None) -> list[int]:
        """Columns of the parameters of `jacobian`."""
        free = [p.name for p in self.parameters if p.high > p.low]
        given = [parameters] if isinstance(parameters, str) else parameters
        if not (given is None or isinstance(given, Iterable)):
            raise ValueError(f"parameters = {parameters!r} must be a name or several")
        wanted = free if given is None else list(given)
        for name in wanted:
            if name not in self.names:
                hint = did_you_mean(name, self.names)
                raise ValueError(f"no parameter {name}{hint}; there are {', '.join(free)}")
            if name not in free:
                raise ValueError(f"{name} is fixed, so that its derivatives are unknown")
        return [self.names.index(name) for name in wanted]

    def _single(
        self, names: tuple[str, ...], point: list[float], measured: Measured | None
    ) -> dict[str, Any]:
        """Outputs of one point within the ranges."""
        if self._lowest_mass.is_near(point):
            self._lowest_mass.warn(np.array([point], np.float32))
        if measured is None:
            results = self.sessions.point(names, point)
        else:
            found = self._in_graph(measured, point)
            results = found or self.wider.sessions.point(measured.everything, point)
        if self._sharp_thresholds.is_near(point, results) and self._has_galaxies(names, measured):
            self._sharp_thresholds.warn(np.array([point], np.float32), results)
        if measured is not None and found is not None:
            return found
        for name in self._galaxies:
            if name in results and (first := results[name].item(0)) != first:  # NaN
                both = {n: np.asarray(one)[None] for n, one in results.items()}
                self._no_galaxies(both, self.out_of_range)
            if name in results and not self._is_pair:
                break
        if measured is None:
            return results
        given = {name: np.array([value]) for name, value in zip(self.names, point, strict=True)}
        statistics = measured({name: value[None] for name, value in results.items()}, given)
        found = {n: self._at_own_k(n, results[n]) for n in names}
        return found | {n: one[0] for n, one in statistics.items()}

    def _in_graph(self, measured: Measured, point: Sequence[float]) -> dict[str, Any] | None:
        """Statistics and other outputs of one point, from the graph; None if it has none."""
        found = measured.of_point(point)
        if found is None:
            return None
        return {name: self._at_own_k(name, one) for name, one in found[0].items()} | found[1]

    def _points(
        self, theta: Any, out_of_range: Policy | None
    ) -> tuple[NDArray[np.float32], NDArray[np.intp], bool]:
        """Points (N, P), rows that are to be NaN, and whether a single point was given."""
        points = as_points(theta, self._inputs, self._defaults)
        single = points.ndim == 1
        x, lost = self._ranges.apply(
            points[None] if single else points, out_of_range or self.out_of_range
        )
        self._lowest_mass.warn(x)
        return x, lost, single

    def _tell(
        self,
        x: NDArray[np.float32],
        names: Iterable[str],
        measured: Measured | None,
        results: Mapping[str, Any],
    ) -> None:
        """Warn of points with a threshold that is too sharp for what was asked for.

        Args:
            x: Points, shape (N, P).
            names: Names of the outputs.
            measured: The statistics.
            results: Outputs that are known.
        """
        if self._has_galaxies(names, measured):
            self._sharp_thresholds.warn(x, results)

    def _has_galaxies(self, names: Iterable[str], measured: Measured | None) -> bool:
        """Whether spectra of galaxies are asked for, or needed for statistics."""
        asked = measured.everything if measured else names
        return any(name in self._galaxies and not self._is_number[name] for name in asked)

    def _numbers(self, names: Sequence[str], x: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """Values (N,) of outputs that are numbers, at points (N, P); NaN if there are none."""
        known = tuple(name for name in names if name in self._is_number)
        found = self._many(known, x, None) if known else {}
        return {name: np.full(len(x), np.nan) for name in names} | found

    def _lose(
        self, results: dict[str, Any], lost: NDArray[np.intp], out_of_range: Policy | None
    ) -> None:
        """Set rows out of range to NaN, and treat rows without galaxies by the policy."""
        if len(lost):
            for one in results.values():
                one[lost] = np.nan
        self._no_galaxies(results, out_of_range or self.out_of_range, lost)

    @property
    def graph(self) -> Graph:
        """The computational graph, including the occupation.

        Raises:
            ValueError: If the occupation is integrated in Python, and not a part of the graph.
        """
        if isinstance(self.sessions, GivenSessions):
            raise ValueError(
                f"galaxies of {self.populations.said} are integrated in Python, and are no part of "
                f"a graph; take an occupation by name"
            )
        return self._file.graph

    def measured(self, statistics: Sequence[Statistic], names: tuple[str, ...] = ()) -> Measured:
        """Prepare statistics for evaluation, with the outputs of `wider` and matrices they need.

        Args:
            statistics: The statistics.
            names: Outputs requested besides the statistics.
        """
        if self.wider is not self:
            return self.wider.measured(statistics, names)
        return self._measures(names, tuple(statistics))

    def _statistics(self, given: Sequence[Any]) -> Measured | None:
        """Statistics among the outputs, prepared for evaluation; None without any."""
        others = [one for one in given if type(one) is not str]  # a fast check
        if not any(isinstance(one, Statistic) for one in others):
            return None
        names = [name for name in given if not isinstance(name, Statistic)]
        return self.measured(
            [one for one in given if isinstance(one, Statistic)],
            self._named(names) if names else (),
        )

    def _measure(
        self,
        measured: Measured,
        x: NDArray[np.float32],
        own: Sequence[tuple[str, NDArray[np.float64]]],
        at_k: AtK | None,
    ) -> dict[str, NDArray[Any]]:
        """Statistics of any number of points, and outputs besides them; see `__call__`."""
        if len(x) == 1 and at_k is None and not own:
            found = self._in_graph(measured, x[0].tolist())
            if found is not None:
                return {name: np.asarray(one)[None] for name, one in found.items()}
        parts = []
        needed = self._needed(measured.names, measured, at_k)
        order = None
        if len(x) > CHUNK:
            order = measured.projection.order(dict(zip(self.names, x.T, strict=True)))
        for start in range(0, max(len(x), 1), CHUNK):
            rows: Any = slice(start, start + CHUNK)
            rows = rows if order is None else order[rows]
            columns: dict[str, Any] = dict(zip(self.names, x[rows].T, strict=True))
            columns |= {name: one[rows] for name, one in own}
            values = self.wider.sessions.run(needed, x[rows])
            on_grid = dict(zip(needed, values, strict=True))
            parts.append(self._from_grid(on_grid, columns, measured.names, measured, at_k))
        found = {name: np.concatenate([one[name] for one in parts]) for name in parts[0]}
        if order is None:
            return found
        places = np.argsort(order)
        return {name: values[places] for name, values in found.items()}

    def _needed(
        self, names: tuple[str, ...], measured: Measured | None, at_k: AtK | None
    ) -> tuple[str, ...]:
        """Outputs on the grid that are needed for outputs and statistics."""
        plain = names if at_k is None else at_k.needed(names, self.outputs)
        return tuple(dict.fromkeys((*(measured.needed if measured else ()), *plain)))

    def _from_grid(
        self,
        on_grid: Mapping[str, NDArray[Any]],
        columns: Mapping[str, Any],
        names: tuple[str, ...],
        measured: Measured | None,
        at_k: AtK | None,
    ) -> dict[str, NDArray[Any]]:
        """Outputs and statistics from outputs of the graph on the grid, and parameters by name."""
        if at_k is None:
            found = {name: self._at_own_k(name, on_grid[name]) for name in names}
        else:
            at = at_k({n: on_grid[n] for n in at_k.needed(names, self.outputs)}, columns)
            found = {name: at[name] for name in names}
        return found | (measured(on_grid, columns) if measured else {})

    def _at_own_k(self, name: str, values: NDArray[Any]) -> NDArray[Any]:
        """An output at the wavenumbers of this emulator, from values at those of `wider`."""
        if self._is_number[name] or values.shape[-1] == len(self.k):
            return values
        return values[..., self._own_k]

    def _no_galaxies(
        self, results: Mapping[str, Any], policy: Policy, lost: NDArray[np.intp] = _NO_ROWS
    ) -> None:
        """Check for points within the ranges that have no galaxies; their results are NaN.

        Raises:
            OutOfRange: If there are such points, unless the policy is ``nan`` or ``warn``.
        """
        if policy == "nan":
            return
        some = [one for one in results.values() if one.ndim == 1 or one.shape[1]]
        first = [one[:, 0] if one.ndim == 2 else one for one in some]
        rows = np.flatnonzero(np.any(np.isnan(first), axis=0))
        if not len(rows) or not len(rows := np.setdiff1d(rows, lost)):
            return
        more = f", and {len(rows) - 1} more rows" if len(rows) > 1 else ""
        text = f"row {rows[0]}: no galaxies, n_g = 0{more}; their spectra are not defined"
        if policy != "warn":
            raise OutOfRange(text)
        warnings.warn(text, OutOfRangeWarning, stacklevel=4)

    def is_inside(self, theta: ArrayLike | Mapping[str, ArrayLike]) -> NDArray[np.bool_]:
        """Whether points are inside the trained ranges and the domains of the emulator.

        Args:
            theta: Points; see `__call__`.

        Returns:
            Booleans of shape (N,), or a single boolean for a single point.

        Raises:
            ValueError: Missing or unknown names, a wrong shape, or values that are not numbers.
        """
        return self._all_but(theta, lambda rows: self._ranges.apply(rows, "nan")[1])

    def is_resolved(self, theta: ArrayLike | Mapping[str, ArrayLike]) -> NDArray[np.bool_]:
        """Whether the grid of halo masses resolves the threshold of the galaxies.

        Elsewhere, errors above k = 5 1/Mpc may exceed 1 %; see `export.sharp_thresholds`.

        Args:
            theta: Points; see `__call__`.

        Returns:
            Booleans of shape (N,), or a single boolean for a single point.

        Raises:
            ValueError: Missing or unknown names, a wrong shape, or values that are not numbers.
        """
        return self._all_but(
            theta, lambda rows: self._sharp_thresholds.rows(rows.astype(np.float32))
        )

    def _all_but(
        self, theta: Any, found: Callable[[NDArray[Any]], NDArray[np.intp]]
    ) -> NDArray[np.bool_]:
        """Booleans for points: all are True but the rows that a function of them finds."""
        points = as_points(theta, self._inputs, self._defaults)
        rows = np.atleast_2d(points)
        others = np.ones(len(rows), np.bool_)
        others[found(rows)] = False
        return others if points.ndim == 2 else others[0]

    def _named(self, outputs: Any) -> tuple[str, ...]:
        if type(outputs) is str and outputs in self._is_number:
            return (outputs,)
        given = _listed(outputs)
        if unknown := [n for n in given if not isinstance(n, str) or n not in self._is_number]:
            named = ", ".join(f"{name}{did_you_mean(name, self.outputs)}" for name in unknown)
            raise ValueError(f"no output {named}; there are {', '.join(self.outputs)}")
        if not given:
            raise ValueError(f"no output is requested; there are {', '.join(self.outputs)}")
        return tuple(dict.fromkeys(given))

    def at_wavenumbers(self, k: ArrayLike, extrapolate: bool = False, above: bool = False) -> AtK:
        """Interpolation from the wavenumbers of `wider` to others, kept for calls with the same k.

        Args:
            k: Wavenumbers [1/Mpc] within the grid, shape (K',).
            extrapolate: Whether k may lie below the grid, as for `__call__`.
            above: Whether k may lie above the grid.
        """
        if self.wider is not self:
            return self.wider.at_wavenumbers(k, extrapolate, above)
        last, k = self._last_k, numbers(k, "k", "1/Mpc")
        asked = (extrapolate, above)
        if last is None or last[1] != asked or not np.array_equal(last[0].k, k):
            at_k = AtK(self.k, k, extrapolate, self._file.bao, self.learnt_totals, above=above)
            last = at_k, asked
            vars(self)["_last_k"] = last
        return last[0]

    def _chunk(
        self, names: tuple[str, ...], x: NDArray[np.float32], at_k: AtK | None
    ) -> dict[str, NDArray[np.float32]]:
        """Outputs of a few points, in one evaluation."""
        needed = self._needed(names, None, at_k)
        sessions = self.sessions if at_k is None else self.wider.sessions
        on_grid = dict(zip(needed, sessions.run(needed, x), strict=True))
        if at_k is None:
            return on_grid
        at = self._from_grid(on_grid, dict(zip(self.names, x.T, strict=True)), names, None, at_k)
        return {name: one.astype(np.float32, copy=False) for name, one in at.items()}

    def _many(
        self, names: tuple[str, ...], x: NDArray[np.float32], at_k: AtK | None
    ) -> dict[str, NDArray[np.float32]]:
        """Outputs of any number of points, also of none."""
        K = len(self.k if at_k is None else at_k.k)
        results = {
            name: np.empty(len(x) if self._is_number[name] else (len(x), K), np.float32)
            for name in names
        }
        for start in range(0, len(x), CHUNK):
            rows = slice(start, start + CHUNK)
            for name, values in self._chunk(names, x[rows], at_k).items():
                results[name][rows] = values
        return results


def _is_count(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and int(value) >= 1


def _listed(outputs: Any) -> list[Any] | tuple[Any, ...]:
    """Outputs of a call, one or several, as a list or tuple."""
    if isinstance(outputs, list | tuple):
        return outputs
    if isinstance(outputs, str | Statistic):
        return (outputs,)
    if isinstance(outputs, bytes) or not isinstance(outputs, Iterable):
        raise ValueError(f"outputs = {outputs!r} must be a name or several")
    return tuple(outputs)


def _middle(parameter: Parameter) -> float:
    if parameter.default is not None:
        return parameter.default
    return float(_from_unit(parameter, np.array(0.5)))


def _from_unit(parameter: Parameter, u: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values from uniform numbers in 0..1, with the distribution of training points."""
    low, high = parameter.low, parameter.high
    if parameter.sampling == "log10":
        return np.asarray(low * (high / low) ** u)
    return np.asarray(low + (high - low) * u)


def _lowest_mass(file: OnnxFile, whose: Populations) -> LowestMass:
    log10_M = json.loads(file.texts["halo_model"]).get("log10M_min")
    M_min = 10.0**log10_M if type(log10_M) in (int, float) else 0.0  # may be missing
    low, high = np.array([[p.low, p.high] for p in file.parameters]).T
    return LowestMass([p.name for p in file.parameters], M_min, whose, low, high)


def load(
    path_or_name: str | Path,
    threads: int = 1,
    out_of_range: Policy = "raise",
    occupation: Any = None,
) -> OnnxEmulator:
    """Open an emulator.

    Args:
        path_or_name: A file of ``hodspectra export``, or the name of an emulator that comes with
            the package, such as ``standard`` or ``tinker10``; `hodspectra.emulators` lists them.
        threads: Number of threads of onnxruntime.
        out_of_range: Default treatment of points outside the trained ranges: ``raise``, ``warn``,
            ``nan`` or ``clip``.
        occupation: Occupation in place of the one in the file: a name such as ``zheng07``, an
            object of your own, or two populations; see `OnnxEmulator`.

    Returns:
        The emulator, a callable from points to spectra.

    Raises:
        FileNotFoundError: No such file or name.
        OccupationError: Unknown or invalid occupation.
        OnnxEmulatorError: The file is damaged, modified, of another schema, or not an emulator.

    Examples:
        >>> from hodspectra import load
        >>> emulator = load("tinker10", occupation="zheng07")
        >>> spectra = emulator(emulator.example | {"sigma_8": 0.76})
        >>> spectra["gg_total"].shape  # Mpc^3, at each of emulator.k
        (50,)
    """
    return OnnxEmulator(path_or_name, threads, out_of_range, occupation)
