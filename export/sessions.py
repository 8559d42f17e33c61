"""Sessions of onnxruntime for graphs that are cut to the requested outputs.

If all points have the same cosmology, or there is a single point, the part of the graph that
depends on the cosmology alone is computed once, and kept for the next call; see `export.halves`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from datagen.space import BACKGROUND
from export.cut import cut
from export.few_sums import with_few_sums
from export.galaxies import COSMOLOGY
from export.graph import Graph, described
from export.halves import Halves, Link, halves
from export.one_point import for_one_point
from export.onnx_file import OnnxEmulatorError
from export.protobuf import encode
from export.tangents import DIRECTIONS, SLOPE, UnknownOperator, with_slopes

__all__ = ["Sessions", "Slopes"]

SESSIONS = 16  # sets of outputs whose sessions are kept
_MOST = 1024  # sampled numbers, in place of one number, of all points of an evaluation
HELD = 8  # cosmologies of single points whose results are kept, for each set of outputs
_COSMIC = len(BACKGROUND)  # columns of points that are cosmology and redshift
_GALAXIES = slice(_COSMIC, None)  # columns of the occupation
_REDSHIFT = slice(BACKGROUND.index("z"), BACKGROUND.index("z") + 1)
_ANY = np.array([0.26, 0.05, 0.68, 0.81, 0.97, -1.0, 0.0, 0.5], np.float32)  # some cosmology

Array = NDArray[np.float32]
Slopes = tuple[dict[str, Array], dict[str, Array]]


class Sessions:
    """Sessions of a graph that is cut to the requested outputs, made when first needed.

    onnxruntime does not read the file, but the graph that was read from the file and checked.

    Args:
        graph: The whole graph.
        path: File of the graph, for messages.
        threads: Number of threads of one evaluation.

    Attributes:
        kept: Sessions by outputs.
        parted: Sessions of the two parts of the graph by outputs; None if it has no parts.
        singles: Sessions for single points by outputs.
        free: Memory for single points, by outputs and by cosmology.
    """

    def __init__(self, graph: Graph, path: Path, threads: int) -> None:
        self._graph, self._path = graph, path
        self._session_options = onnxruntime.SessionOptions()
        self._session_options.intra_op_num_threads = threads
        self._session_options.inter_op_num_threads = 1
        self._session_options.log_severity_level = 3
        # memory is freed after each call, which is as fast
        self._session_options.enable_cpu_mem_arena = False
        # no array reuses the memory of another: a tenth less time
        self._session_options.enable_mem_reuse = False
        self._session_options.add_session_config_entry("session.load_model_format", "ONNX")
        self._options = onnxruntime.RunOptions()
        self._rows: dict[str, NDArray[Any]] = {}  # arrays like one row of each output
        self._inputs, self._is_single = 0, False
        self._links: tuple[Link, ...] = ()
        self._most = _most_rows(graph)
        self.kept: dict[tuple[str, ...], onnxruntime.InferenceSession] = {}
        self.parted: dict[tuple[tuple[str, ...], bool], _Parted | None] = {}
        self._sloped: dict[tuple[tuple[str, ...], int], onnxruntime.InferenceSession | None] = {}
        self._lock = Lock()
        self.singles: dict[tuple[str, ...], _Single] = {}
        self.free: dict[tuple[str, ...], _Free] = {}

    def run(self, names: tuple[str, ...], x: Array) -> list[Array]:
        """The named outputs of points (N, P)."""
        if len(x) == 1:
            found = self.point(names, x[0].tolist())
            return [np.asarray(found[name])[None] for name in names]
        if len(x) > self._most:
            parts = (x[i : i + self._most] for i in range(0, len(x), self._most))
            return list(map(np.concatenate, zip(*(self.run(names, x) for x in parts), strict=True)))
        is_one = _differ_in(x, _GALAXIES)
        if is_one or _differ_in(x, _REDSHIFT):
            parted = self.parts(names, is_one)
            if parted is not None:
                return parted.run(names, x)
        return self.feed(names, {"theta": x})

    def feed(self, names: tuple[str, ...], given: Mapping[str, Array]) -> list[Array]:
        """The named outputs for inputs of the graph by name."""
        values: list[Array] = self._session(names).run(names, given, self._options)
        return values

    def point(self, names: tuple[str, ...], values: Sequence[float]) -> dict[str, Any]:
        """The named outputs of one point."""
        free, background = self.free.get(names), tuple(values[:_COSMIC])
        if free is None:
            if len(self.free) >= SESSIONS:
                self.free.clear()
                self.singles.clear()
            free = self.free.setdefault(names, _Free())
        # a row that was taken out is not used by other threads or signal handlers
        row = free.pop(background, None)
        if row is None:
            row = self._another(free, background) or self._row(names)
        results = row(background, values)
        free[background] = row
        return results

    def _another(self, free: "_Free", background: tuple[float, ...]) -> "_Row | None":
        """A row for another cosmology; None for a new one.

        A cosmology of a single call, as in most chains, takes the place of the last one, whose
        memory is in the cache. One that comes back takes that of the least recently used.
        """
        came_back, last = background in free.recent, next(reversed(tuple(free)), None)
        free.recent[background] = None
        if len(free.recent) > HELD:
            free.recent.pop(next(iter(tuple(free.recent))), None)
        if last is None:
            return None
        row = free.get(last)
        if row is not None and not came_back and not row.has_held:
            return free.pop(last, None)
        return free.pop(next(iter(tuple(free)), last), None) if len(free) >= HELD else None

    def slopes(self, names: tuple[str, ...], x: Array, directions: Array) -> "Slopes | None":
        """The named outputs of one point (P,), and their derivatives along directions (D, P).

        None if an operator of the graph has no known derivative.
        """
        key = names, len(directions)
        if key not in self._sloped:
            session = self._with_slopes(names, x, len(directions))
            with self._lock:
                while len(self._sloped) >= SESSIONS:
                    self._sloped.pop(next(iter(self._sloped)))
                self._sloped[key] = session
        session = self._sloped.get(key)
        if session is None:
            return None
        wanted = [*names, *(SLOPE + name for name in names)]
        found = session.run(
            wanted, {"theta": x[None], DIRECTIONS: directions[:, None]}, self._options
        )
        values = zip(names, found[: len(names)], strict=True)
        slopes = zip(names, found[len(names) :], strict=True)
        return {name: one[0] for name, one in values}, {name: one[:, 0] for name, one in slopes}

    def _with_slopes(
        self, names: tuple[str, ...], x: Array, D: int
    ) -> onnxruntime.InferenceSession | None:
        graph = cut(self._graph, names)
        made = [name for node in graph.nodes for name in node.outputs]
        described = {name: encode(12, encode(1, name.encode())) for name in made}
        every = self._open(replace(graph, outputs=described), _as_it_is())
        values = every.run(made, {"theta": x[None]}, self._options)
        shapes = {name: value.shape for name, value in zip(made, values, strict=True)}
        constant = ((name, tensor.array()) for name, tensor in graph.tensors.items())
        shapes |= {name: one.shape for name, one in constant if one is not None}
        try:
            return self._open(with_slopes(graph, shapes | {"theta": (1, len(x))}, D))
        except UnknownOperator:
            return None

    def _row(self, names: tuple[str, ...]) -> "_Row":
        single = self.singles.get(names) or self._single(names)
        self.singles[names] = single
        made = {name: self._rows[name].copy() for name in names}
        return _Row(single, self._inputs, made, self._links, self._options)

    def _single(self, names: tuple[str, ...]) -> "_Single":
        parted = self.parts(names)
        if parted is None:
            return _Single(self._session(names), None, None)
        again = self._open(for_one_point(parted.parts.galaxies))
        whole = None if self._links else self._open(for_one_point(parted.parts.both))
        return _Single(whole, again, parted)

    def parts(self, names: tuple[str, ...], is_one: bool = True) -> "_Parted | None":
        """Sessions of both parts of the graph, for one cosmology or many; None without parts."""
        key = names, is_one
        if key not in self.parted:
            parted = self._part(*key)
            with self._lock:
                while len(self.parted) >= SESSIONS:
                    self.parted.pop(next(iter(self.parted)))
                self.parted[key] = parted
        return self.parted.get(key)

    def _part(self, names: tuple[str, ...], is_one: bool) -> "_Parted | None":
        given = (name for link in self._links for name in link.given)
        graph = cut(self._graph, {*names, *given})
        parts = halves(graph if is_one else with_few_sums(graph), is_one)
        if parts is None:
            return None
        cosmology = self._open(parts.cosmology)
        wanted = list(parts.cosmology.outputs)
        one, *others = (
            dict(
                zip(wanted, cosmology.run(wanted, {COSMOLOGY: points}, self._options), strict=True)
            )
            for points in (np.tile(_ANY, (N, 1)) for N in ((1,) if self._is_single else (1, 2)))
        )
        each = [name for name in wanted if parts.is_row(name)]
        if not all(
            np.array_equal(np.repeat(one[n], 2, axis=0), two[n]) for two in others for n in each
        ):
            return None
        inputs = parts.galaxies.inputs
        for name in parts.between:
            rows, *sizes = one[name].shape
            called = "batch" if rows == 1 else f"{rows} batches"
            if not parts.is_row(name):
                sizes, called = [rows, *sizes], ""
            inputs += encode(11, described(name, *sizes, rows=called, dtype=one[name].dtype))
        parts = replace(parts, galaxies=replace(parts.galaxies, inputs=inputs))
        return _Parted(parts, cosmology, self._open, one, self._options, is_one)

    def check(self, inputs: Sequence[str], outputs: Sequence[str], K: int) -> dict[str, bool]:
        """Open the graph with all outputs; return whether each is a number, not a spectrum.

        Raises:
            OnnxEmulatorError: If the graph cannot be run, or has other outputs.
        """
        session = self._open(cut(self._graph, outputs), _as_it_is())
        given = [(one.name, one.type, one.shape[1:]) for one in session.get_inputs()]
        if given != [("theta", "tensor(float)", [len(inputs)])]:
            raise OnnxEmulatorError(f"{self._path} is damaged or forged: its graph takes {given}")
        self._inputs = len(inputs)
        return self._kinds(session, outputs, K)

    def kinds(self, outputs: Sequence[str], K: int) -> dict[str, bool]:
        """Whether each output is a number, not a spectrum.

        Raises:
            OnnxEmulatorError: If the graph cannot be run, or has other outputs.
        """
        return self._kinds(self._open(cut(self._graph, outputs), _as_it_is()), outputs, K)

    def _kinds(
        self, session: onnxruntime.InferenceSession, outputs: Sequence[str], K: int
    ) -> dict[str, bool]:
        made = {one.name: (one.type, one.shape[1:]) for one in session.get_outputs()}
        kinds: list[tuple[str, list[Any]]] = [("tensor(float)", []), ("tensor(float)", [K])]
        if not all(made.get(name) in kinds for name in outputs):
            raise OnnxEmulatorError(f"{self._path} is damaged or forged: its graph gives {made}")
        self._rows = {name: np.empty((1, *made[name][1]), np.float32) for name in outputs}
        return {name: row.ndim == 1 for name, row in self._rows.items()}

    def beside(
        self, graph: Graph, more: Mapping[str, NDArray[Any]], links: Sequence[Link] = ()
    ) -> "Sessions":
        """Sessions of this graph with more outputs, for calls of `point` alone.

        Args:
            graph: The graph with the additional outputs.
            more: Arrays by name with shape and type of one row of each additional output.
            links: Steps in numpy between the two parts of the graph.
        """
        other = Sessions(graph, self._path, self._session_options.intra_op_num_threads)
        other._inputs, other._rows, other._is_single = self._inputs, self._rows | dict(more), True
        other._links = tuple(links)
        return other

    def _session(self, names: tuple[str, ...]) -> onnxruntime.InferenceSession:
        session = self.kept.get(names)
        if session is None:
            session = self._open(with_few_sums(cut(self._graph, names)))
            with self._lock:
                while len(self.kept) >= SESSIONS:
                    self.kept.pop(next(iter(self.kept)))
                self.kept[names] = session
        return session

    def _open(
        self, graph: Graph, options: onnxruntime.SessionOptions | None = None
    ) -> onnxruntime.InferenceSession:
        try:
            return onnxruntime.InferenceSession(
                graph.encode(),
                options or self._session_options,
                providers=["CPUExecutionProvider"],
            )
        except Exception as error:  # onnxruntime raises a class of its own for every kind of damage
            raise OnnxEmulatorError(f"{self._path} cannot be run ({error})") from error


def _most_rows(graph: Graph) -> int:
    """Number of points of one evaluation, such that all intermediates stay in the cache.

    Graphs that integrate have several numbers in place of one.
    """
    shapes = (one.shape() for one in graph.tensors.values())
    return _MOST // max((shape[0] for shape in shapes if len(shape) == 3), default=1)


def _differ_in(x: Array, columns: slice) -> bool:
    """Whether N points (N, P), at least one, agree in all other columns."""
    for rows in (x[-1:], x):  # compare the last with the first, as a fast check
        apart = rows != x[0] if len(x) else np.ones((1, x.shape[1]), np.bool_)
        apart[:, columns] = False
        if apart.any():
            return False
    return True


def _as_it_is() -> onnxruntime.SessionOptions:
    """Options of a session that opens fast, without optimisations, for inspection or one run."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    return options


class _Parted:
    """Both parts of a graph, with the results for the last cosmology or list of cosmologies.

    Args:
        parts: The two parts.
        cosmology: Session of the first part.
        open_: Opens a session of a graph: of the second part, when first needed.
        values: Example of the outputs of the first part, by name.
        options: Options of a run.
        is_one: Whether all points of a call have the same cosmology.
    """

    def __init__(
        self,
        parts: Halves,
        cosmology: onnxruntime.InferenceSession,
        open_: Callable[[Graph], onnxruntime.InferenceSession],
        values: Mapping[str, Array],
        options: onnxruntime.RunOptions,
        is_one: bool,
    ) -> None:
        self.parts, self.cosmology, self._open = parts, cosmology, open_
        self.rows = dict(values)
        self.between, self._is_row, self._options = parts.between, parts.is_row, options
        self._is_one = is_one
        self._last: tuple[Any, int, dict[str, Array]] = None, 0, {}

    @cached_property
    def galaxies(self) -> onnxruntime.InferenceSession:
        """Session of the second part, for batches."""
        return self._open(self.parts.galaxies)

    def run(self, names: Sequence[str], x: Array) -> list[Array]:
        """The named outputs of points (N, P)."""
        given = self._of_cosmology(x)
        wanted = [name for name in names if name not in self.rows]
        found = self.galaxies.run(
            wanted, {"theta": x} | {name: given[name] for name in self.between}, self._options
        )
        values = dict(zip(wanted, found, strict=True))
        return [values[n] if n in values else given[n].copy() for n in names]

    def _of_cosmology(self, x: Array) -> dict[str, Array]:
        """Outputs of the first part by name, for N points."""
        background, N = np.ascontiguousarray(x[: 1 if self._is_one else None, :_COSMIC]), len(x)
        said = background.tobytes()
        last, rows, given = self._last
        if last == said and rows == N:
            return given
        wanted = list(self.rows)
        found = self.cosmology.run(wanted, {COSMOLOGY: background}, self._options)
        is_repeated = self._is_one and N > 1
        given = {
            name: np.repeat(one, N, axis=0) if is_repeated and self._is_row(name) else one
            for name, one in zip(wanted, found, strict=True)
        }
        self._last = said, N, given
        return given


class _Single(NamedTuple):
    """Sessions for a single point.

    Attributes:
        whole: Computes all in one run; None if steps in numpy are needed in between.
        again: The part of the galaxies; None if the graph has no parts.
        parted: Both parts for batches of points; None if the graph has no parts.
    """

    whole: onnxruntime.InferenceSession | None
    again: onnxruntime.InferenceSession | None
    parted: _Parted | None


class _Free(dict[tuple[float, ...], "_Row"]):
    """Rows by cosmology, the last used at the end.

    Attributes:
        recent: The last cosmologies without a row, as keys.
    """

    def __init__(self) -> None:
        super().__init__()
        self.recent: dict[tuple[float, ...], None] = {}


class _Row:
    """Evaluates one point at a time, in arrays that are reused by all its calls.

    Without new arrays, a call takes a sixth less time. At an unchanged cosmology, only the part of
    the galaxies is evaluated.

    Args:
        sessions: The sessions.
        inputs: Number of columns of a point, P.
        made: Arrays for the outputs by name, (1, ...).
        links: Steps in numpy between the two parts.
        options: Options of a run.

    Attributes:
        has_held: Whether it was called again at its present cosmology.
    """

    def __init__(
        self,
        sessions: _Single,
        inputs: int,
        made: Mapping[str, NDArray[Any]],
        links: Sequence[Link],
        options: onnxruntime.RunOptions,
    ) -> None:
        whole, again, parted = sessions
        self._x, self.has_held = np.empty((1, inputs), np.float32), False
        self._copies = [
            (name, array[0].copy if array.ndim > 1 else partial(array.__getitem__, 0))
            for name, array in made.items()
        ]
        self._last: tuple[float, ...] | None = None
        self._again: Callable[[], None] | None = None
        self._steps: list[Callable[[], None]] = []  # for a new cosmology
        self._held: list[Any] = []
        given: dict[str, NDArray[Any]] = {"theta": self._x}
        of_cosmology = {
            name: made[name] if name in made else row.copy()
            for name, row in (parted.rows if parted else {}).items()
        }
        if whole is not None:
            self._steps.append(self._bind(whole, given, {**made, **of_cosmology}, options))
        if parted is None or again is None:
            return
        if whole is None:
            background = {COSMOLOGY: self._x[:, :_COSMIC]}
            self._steps.append(self._bind(parted.cosmology, background, of_cosmology, options))
        given |= {name: of_cosmology[name] for name in parted.between}
        for link in links:
            given[link.name] = np.empty(link.shape)
            numbers = (of_cosmology[name] for name in link.given)
            self._steps.append(partial(link.make, *numbers, given[link.name]))
        rest = {name: array for name, array in made.items() if name not in of_cosmology}
        self._again = self._bind(again, given, rest, options)
        if whole is None:
            self._steps.append(self._again)

    def _bind(self, *args: Any) -> Callable[[], None]:
        run, held = _bound(*args)
        self._held.append(held)
        return run

    def __call__(self, background: tuple[float, ...], point: Sequence[float]) -> dict[str, Any]:
        """The outputs of a point: copies of spectra (K,), and numbers."""
        self._x[0] = point
        if self._again is not None and background == self._last:
            self.has_held = True
            self._again()
        else:
            self._last, self.has_held = None, False  # until all steps are done
            for step in self._steps:
                step()
            self._last = background
        return {name: copy() for name, copy in self._copies}


def _bound(
    session: onnxruntime.InferenceSession,
    given: Mapping[str, NDArray[Any]],
    made: Mapping[str, NDArray[Any]],
    options: onnxruntime.RunOptions,
) -> tuple[Callable[[], None], Any]:
    """Function that runs a session from arrays into arrays, and objects that it keeps alive."""
    binding = session.io_binding()
    for name, array in given.items():
        binding.bind_input(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
    axes = {one.name: len(one.shape) for one in session.get_outputs()}
    for name, array in made.items():
        shape = array.shape + (1,) * (axes[name] - array.ndim)  # numbers may be (1, 1)
        binding.bind_output(name, "cpu", 0, array.dtype.type, shape, array.ctypes.data)
    # `InferenceSession.run_with_iobinding` checks first, for longer than a short call takes
    run, bound = getattr(session, "_sess", None), getattr(binding, "_iobinding", None)
    if run is None or bound is None:
        run, bound = session, binding
    return partial(run.run_with_iobinding, bound, options), (session, binding, given, made)
