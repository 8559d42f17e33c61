"""Sessions of onnxruntime: of a graph that was read and checked, cut to what is asked for."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from export.cut import cut
from export.graph import Graph
from export.onnx_file import OnnxEmulatorError

__all__ = ["Sessions"]

SESSIONS = 16  # that are kept, one for each set of outputs that was asked for


class Sessions:
    """Sessions of one graph, cut to the outputs that are asked for; made when they are.

    What onnxruntime gets is not the file but the graph that was read from it and checked.

    Args:
        graph: The whole graph.
        path: Where it comes from, for messages.
        threads: Threads of one evaluation.
    """

    def __init__(self, graph: Graph, path: Path, threads: int) -> None:
        self._graph, self._path = graph, path
        self._session_options = onnxruntime.SessionOptions()
        self._session_options.intra_op_num_threads = threads
        self._session_options.inter_op_num_threads = 1
        self._session_options.log_severity_level = 3
        # a call gives back its memory, and is as fast
        self._session_options.enable_cpu_mem_arena = False
        self._session_options.add_session_config_entry("session.load_model_format", "ONNX")
        self._options = onnxruntime.RunOptions()
        self._shapes: dict[str, list[int]] = {}  # of one row of an output
        self._inputs = 0
        self._kept: dict[tuple[str, ...], onnxruntime.InferenceSession] = {}
        self._lock = Lock()
        self._free: dict[tuple[str, ...], list[_Row]] = {}

    def run(self, names: tuple[str, ...], x: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """The named outputs of points (N, P)."""
        return self.feed(names, {"theta": x})

    def feed(
        self, names: tuple[str, ...], given: Mapping[str, NDArray[np.float32]]
    ) -> list[NDArray[np.float32]]:
        """The named outputs of all that the graph takes, by name."""
        values: list[NDArray[np.float32]] = self._session(names).run(names, given, self._options)
        return values

    def point(self, names: tuple[str, ...], values: Sequence[float]) -> dict[str, Any]:
        """The named outputs of one point."""
        try:
            row = self._free[names].pop()  # no other thread, and no signal's handler, has it now
        except (KeyError, IndexError):
            row = self._row(names)
        results = row(values)
        self._free.setdefault(names, []).append(row)
        return results

    def _row(self, names: tuple[str, ...]) -> "_Row":
        if len(self._free) >= SESSIONS:
            self._free.clear()
        shapes = {name: self._shapes[name] for name in names}
        return _Row(self._session(names), self._inputs, shapes, self._options)

    def check(self, inputs: Sequence[str], outputs: Sequence[str], K: int) -> dict[str, bool]:
        """Open a session of all outputs; whether each is a number, and not a spectrum.

        Raises:
            OnnxEmulatorError: The graph cannot be run, or gives other outputs.
        """
        session = self._session(tuple(outputs))
        given = [(one.name, one.type, one.shape[1:]) for one in session.get_inputs()]
        if given != [("theta", "tensor(float)", [len(inputs)])]:
            raise OnnxEmulatorError(f"{self._path} is damaged or forged: its graph takes {given}")
        self._inputs = len(inputs)
        return self.kinds(outputs, K)

    def kinds(self, outputs: Sequence[str], K: int) -> dict[str, bool]:
        """Whether each output is a number, and not a spectrum.

        Raises:
            OnnxEmulatorError: The graph cannot be run, or gives other outputs.
        """
        session = self._session(tuple(outputs))
        made = {one.name: (one.type, one.shape[1:]) for one in session.get_outputs()}
        kinds: list[tuple[str, list[Any]]] = [("tensor(float)", []), ("tensor(float)", [K])]
        if not all(made.get(name) in kinds for name in outputs):
            raise OnnxEmulatorError(f"{self._path} is damaged or forged: its graph gives {made}")
        self._shapes = {name: made[name][1] for name in outputs}
        return {name: not shape for name, shape in self._shapes.items()}

    def _session(self, names: tuple[str, ...]) -> onnxruntime.InferenceSession:
        session = self._kept.get(names)
        if session is None:
            session = self._open(names)
            with self._lock:
                while len(self._kept) >= SESSIONS:
                    self._kept.pop(next(iter(self._kept)))
                self._kept[names] = session
        return session

    def _open(self, names: tuple[str, ...]) -> onnxruntime.InferenceSession:
        content = cut(self._graph, names).encode()
        try:
            return onnxruntime.InferenceSession(
                content, self._session_options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime raises a class of its own for every kind of damage
            raise OnnxEmulatorError(f"{self._path} cannot be run ({error})") from error


class _Row:
    """One point in and its outputs out, in memory that call after call uses again.

    As onnxruntime makes no arrays then, a call takes a sixth less.

    Args:
        session: Which computes these outputs.
        inputs: Numbers of a point.
        shapes: Of each output of a point, by name.
        options: Of a run.
    """

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        inputs: int,
        shapes: Mapping[str, Sequence[int]],
        options: onnxruntime.RunOptions,
    ) -> None:
        binding = session.io_binding()
        self._x = np.empty((1, inputs), np.float32)
        made = {name: np.empty((1, *shape), np.float32) for name, shape in shapes.items()}
        binding.bind_input("theta", "cpu", 0, np.float32, self._x.shape, self._x.ctypes.data)
        for name, array in made.items():
            binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        # `InferenceSession.run_with_iobinding` checks first, for longer than a short call takes
        run, bound = getattr(session, "_sess", None), getattr(binding, "_iobinding", None)
        if run is None or bound is None:
            run, bound = session, binding
        self._run = partial(run.run_with_iobinding, bound, options)
        self._held = session, binding, made
        self._copies = [
            (name, array[0].copy if array.ndim > 1 else partial(array.__getitem__, 0))
            for name, array in made.items()
        ]

    def __call__(self, point: Sequence[float]) -> dict[str, Any]:
        """The outputs of a point: copies of spectra (K,), and numbers."""
        self._x[0] = point
        self._run()
        return {name: copy() for name, copy in self._copies}
