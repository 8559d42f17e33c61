"""Evaluate an ONNX emulator with numpy and onnxruntime; nothing else is needed."""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import ArrayLike, NDArray

from datagen.columns import numbers
from datagen.seal import is_whole
from export.interpolate import AtK
from export.points import as_points
from export.ranges import Parameter, Policy, Ranges
from export.shipped import find

__all__ = ["SCHEMA", "OnnxEmulator", "OnnxEmulatorError", "load"]

SCHEMA = "hodspectra-onnx-2"
CHUNK = 256  # rows of one evaluation: bounds the memory, and their intermediates stay in cache


class OnnxEmulatorError(ValueError):
    """An ONNX file that is damaged, of another schema, or not an emulator."""


class OnnxEmulator:
    """Power spectra of physical parameters, from one ONNX file.

    Calls may come from several threads at once, and pickles go to worker processes.

    Attributes:
        parameters: The inputs, in the order of columns.
        outputs: Names of the spectra and numbers, such as ``gg_1h`` and ``n_g``.
        units: Their units.
        k: Wavenumbers [1/Mpc], shape (K,).
        z: Redshift.

    Args:
        path_or_name: A file of ``export.to_onnx``, or the name of a shipped emulator.
        threads: Threads of one evaluation.
        out_of_range: What happens to points outside the trained ranges, if a call does not say
            otherwise; see `Ranges.apply`.

    Raises:
        FileNotFoundError: No such file or name.
        OnnxEmulatorError: Damaged, altered, of another schema, or not an emulator.
    """

    def __init__(
        self,
        path_or_name: str | Path,
        threads: int = 1,
        out_of_range: Policy = "raise",
    ) -> None:
        path = find(path_or_name)
        self.__setstate__(
            {
                "path": path,
                "content": path.read_bytes(),
                "threads": threads,
                "out_of_range": out_of_range,
            }
        )

    def __getstate__(self) -> dict[str, Any]:
        names = ("path", "content", "threads", "out_of_range")
        return {name: getattr(self, name) for name in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.path: Path = state["path"]
        self.content: bytes = state["content"]  # a session cannot be pickled, its file can
        self.threads: int = state["threads"]
        self.out_of_range: Policy = state["out_of_range"]
        self._session = _session(self.content, self.path, self.threads)
        self._texts = _checked_metadata(self._session, self.content, self.path)
        parameters = json.loads(self._texts["parameters"])
        self.parameters = tuple(Parameter(name=n, **p) for n, p in parameters.items())
        self.units: dict[str, str] = json.loads(self._texts["outputs"])
        self.outputs = tuple(self.units)
        self.k = np.array(json.loads(self._texts["k"]))
        self.z = float(json.loads(self._texts["z"]))
        self.names = tuple(parameters)  # of the inputs, in the order of columns
        self._inputs = {p.name: p.unit for p in self.parameters}
        self._numbers = {o.name for o in self._session.get_outputs() if len(o.shape) == 1}
        self._ranges = Ranges(self.parameters)
        self._ranges.apply(self._ranges.low[None], self.out_of_range)  # is there such a policy?
        self._only_needed = onnxruntime.RunOptions()
        self._only_needed.only_execute_path_to_fetches = True
        self._last_k: AtK | None = None

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """All that the file says of itself.

        Halo model, versions, commit, data hash, how it was trained, accuracy, citation.
        """
        return {name: json.loads(text) for name, text in self._texts.items()}

    def __call__(
        self,
        theta: ArrayLike | Mapping[str, ArrayLike],
        outputs: str | Sequence[str] | None = None,
        k: ArrayLike | None = None,
        *,
        out_of_range: Policy | None = None,
        extrapolate: bool = False,
    ) -> dict[str, NDArray[np.float32]]:
        """Outputs by name: spectra [Mpc^3], each (N, K), and numbers, each (N,).

        Of a single point (K,) and a number.

        Args:
            theta: Points as a mapping from `names` to numbers or arrays (N,), a table or a
                structured array with these columns (pandas, polars, xarray, pyarrow, astropy),
                or an array (N, P) or (P,), columns in the order of `names`; in physical units:
                masses in Msun, not their logarithms. Quantities with units are converted.
            outputs: Which ones; all by default. Fewer take less time.
            k: Wavenumbers [1/Mpc] in place of the emulator's, shape (K',).
            out_of_range: What happens to points outside the trained ranges: ``raise``, ``warn``,
                ``nan`` or ``clip``.
            extrapolate: Whether k may lie below the emulator's; see `export.interpolate`.

        Raises:
            OutOfRange: NaN, or a value outside the trained range; the message names row,
                parameter, value and limits.
            ValueError: Names missing or unknown, a wrong shape, what is not a number.
        """
        points = as_points(theta, self._inputs)
        single = points.ndim == 1
        x, lost = self._ranges.apply(
            points[None] if single else points, out_of_range or self.out_of_range
        )
        names = self.outputs if outputs is None else self._named(outputs)
        at_k = None if k is None else self._at_k(k, extrapolate)
        results = self._chunk(names, x, at_k) if 0 < len(x) <= CHUNK else self._many(names, x, at_k)
        if len(lost):
            for values in results.values():
                values[lost] = np.nan
        return {name: values[0] for name, values in results.items()} if single else results

    def _named(self, outputs: str | Sequence[str]) -> tuple[str, ...]:
        names = (outputs,) if isinstance(outputs, str) else tuple(outputs)
        if unknown := [str(name) for name in names if name not in self.units]:
            raise ValueError(f"no output {', '.join(unknown)}; there are {', '.join(self.outputs)}")
        return names

    def _at_k(self, k: ArrayLike, extrapolate: bool) -> AtK:
        """The interpolation to k; that of the last call, if its k were the same."""
        last, k = self._last_k, numbers(k, "k", "1/Mpc")
        if last is None or not np.array_equal(last.k, k) or last.extrapolate != extrapolate:
            wiggles = json.loads(self._texts.get("wiggles", "null"))
            self._last_k = last = AtK(self.k, k, extrapolate, wiggles)
        return last

    def _chunk(
        self, names: tuple[str, ...], x: NDArray[np.float32], at_k: AtK | None
    ) -> dict[str, NDArray[np.float32]]:
        """Outputs of a few points, at once."""
        options = None if names is self.outputs else self._only_needed
        if at_k is None:
            return dict(zip(names, self._session.run(names, {"theta": x}, options), strict=True))
        needed = at_k.needed(names, self.outputs)
        on_grid = dict(zip(needed, self._session.run(needed, {"theta": x}, options), strict=True))
        at = at_k(on_grid, dict(zip(self.names, x.T, strict=True)))
        return {name: at[name] for name in names}

    def _many(
        self, names: tuple[str, ...], x: NDArray[np.float32], at_k: AtK | None
    ) -> dict[str, NDArray[np.float32]]:
        """Outputs of any number of points, none included."""
        K = len(self.k if at_k is None else at_k.k)
        results = {
            name: np.empty(len(x) if name in self._numbers else (len(x), K), np.float32)
            for name in names
        }
        for start in range(0, len(x), CHUNK):
            rows = slice(start, start + CHUNK)
            for name, values in self._chunk(names, x[rows], at_k).items():
                results[name][rows] = values
        return results


def load(
    path_or_name: str | Path,
    threads: int = 1,
    out_of_range: Policy = "raise",
) -> OnnxEmulator:
    """Open an ONNX emulator, a file or a shipped one by name; see `OnnxEmulator`."""
    return OnnxEmulator(path_or_name, threads, out_of_range)


def _session(content: bytes, path: Path, threads: int) -> onnxruntime.InferenceSession:
    if threads < 1:
        raise ValueError(f"threads = {threads} must be at least 1")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = False  # a call gives back its memory, and is as fast
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a class of its own for every kind of damage
        raise OnnxEmulatorError(f"{path} is not a readable ONNX file ({error})") from error


def _checked_metadata(
    session: onnxruntime.InferenceSession, content: bytes, path: Path
) -> dict[str, str]:
    """The metadata as JSON texts by name.

    Raises:
        OnnxEmulatorError: Another schema, or content that does not match its seal.
    """
    texts: dict[str, str] = dict(session.get_modelmeta().custom_metadata_map)
    schema, digest = texts.pop("schema", None), texts.pop("sha256", "")
    if schema != SCHEMA:
        raise OnnxEmulatorError(
            f"{path} is not an emulator of this version: its schema is {schema!r}, expected "
            f"{SCHEMA!r}; export it again with python -m export.to_onnx"
        )
    if not is_whole(content, digest):
        raise OnnxEmulatorError(
            f"{path} was altered: its checksum does not match its content; get it again, or "
            f"export it again with python -m export.to_onnx"
        )
    return texts
