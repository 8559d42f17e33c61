"""Evaluate an ONNX emulator with numpy and onnxruntime; nothing else is needed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import ArrayLike, NDArray

__all__ = ["SCHEMA", "OnnxEmulator", "OnnxEmulatorError", "load"]

SCHEMA = "hodspectra-onnx-1"
_FLOAT32_EPS = 1e-6  # a limit itself, rounded to float32, is still inside


class OnnxEmulatorError(ValueError):
    """An ONNX file that is damaged, of another schema, or not an emulator."""


@dataclass(frozen=True)
class Parameter:
    """One input: its name, unit, and the range that the emulator was trained on.

    Attributes:
        name: For example ``Mth``.
        unit: ``1`` or ``Msun``.
        low: Smallest trained value.
        high: Largest trained value.
        sampling: ``linear`` or ``log10``: how training points were spread.
    """

    name: str
    unit: str
    low: float
    high: float
    sampling: str


class OnnxEmulator:
    """Power spectra of physical parameters, from one ONNX file.

    Attributes:
        parameters: The inputs, in the order of columns.
        outputs: Names of the spectra, such as ``gg_1h``.
        k: Wavenumbers [1/Mpc], shape (K,).
        z: Redshift.
        metadata: Everything else that the file says of itself: halo model, versions, commit,
            data hash, accuracy on validation points.
    """

    def __init__(self, path: str | Path, threads: int = 1) -> None:
        self.session = _session(Path(path), threads)
        meta = _metadata(self.session, Path(path))
        self.parameters = tuple(Parameter(name=n, **p) for n, p in meta.pop("parameters").items())
        self.outputs: tuple[str, ...] = tuple(o.name for o in self.session.get_outputs())
        self.k = np.array(meta.pop("k"))
        self.z = float(meta.pop("z"))
        self.metadata: dict[str, Any] = meta
        self._low = np.array([p.low for p in self.parameters])
        self._high = np.array([p.high for p in self.parameters])

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the inputs, in the order of columns."""
        return tuple(p.name for p in self.parameters)

    def __call__(
        self, theta: ArrayLike | Mapping[str, ArrayLike]
    ) -> dict[str, NDArray[np.float32]]:
        """Spectra [Mpc^3] by name, each (N, K); (K,) for a single point.

        Args:
            theta: Points as an array (N, P) or (P,), columns in the order of `names`, or a
                mapping from those names to numbers or arrays (N,), in physical units: masses
                in Msun, not their logarithms.

        Raises:
            ValueError: Names missing or unknown, a wrong shape, NaN, or a value outside the
                trained range; the message names row, parameter, value and limits.
        """
        points, single = self._points(theta)
        self._check(points)
        spectra = self.session.run(None, {"theta": points.astype(np.float32)})
        if single:
            spectra = [Pk[0] for Pk in spectra]
        return dict(zip(self.outputs, spectra, strict=True))

    def _points(
        self, theta: ArrayLike | Mapping[str, ArrayLike]
    ) -> tuple[NDArray[np.float64], bool]:
        """The points as (N, P), and whether a single one was given."""
        if isinstance(theta, Mapping):
            for kind, names in (
                ("missing", set(self.names) - set(theta)),
                ("unknown", set(theta) - set(self.names)),
            ):
                if names:
                    raise ValueError(
                        f"{kind} parameters: {', '.join(sorted(names))}; expected "
                        f"{', '.join(self.names)}"
                    )
            columns = [np.asarray(theta[name], np.float64) for name in self.names]
            theta = np.stack(np.broadcast_arrays(*columns), axis=-1)
        points = np.asarray(theta, np.float64)
        if points.ndim not in (1, 2) or points.shape[-1] != len(self.parameters):
            raise ValueError(
                f"theta has shape {points.shape}, expected (N, {len(self.parameters)}) or "
                f"({len(self.parameters)},) with columns {', '.join(self.names)}"
            )
        return np.atleast_2d(points), points.ndim == 1

    def _check(self, points: NDArray[np.float64]) -> None:
        outside = ~(
            (points >= self._low * (1 - _FLOAT32_EPS)) & (points <= self._high * (1 + _FLOAT32_EPS))
        )
        if outside.any():
            row, column = np.argwhere(outside)[0]
            p = self.parameters[column]
            raise ValueError(
                f"row {row}: {p.name} = {points[row, column]:g} is outside the trained range "
                f"[{p.low:g}, {p.high:g}] {'' if p.unit == '1' else p.unit}".rstrip()
            )


def load(path: str | Path, threads: int = 1) -> OnnxEmulator:
    """Open an ONNX emulator.

    Args:
        path: File of ``export.to_onnx``.
        threads: Threads of one evaluation.

    Raises:
        FileNotFoundError: No such file.
        OnnxEmulatorError: Damaged, of another schema, or not an emulator.
    """
    return OnnxEmulator(path, threads)


def _session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    if not path.exists():
        raise FileNotFoundError(f"no emulator at {path}; make one with python -m export.to_onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a class of its own for every kind of damage
        raise OnnxEmulatorError(f"{path} is not a readable ONNX file ({error})") from error


def _metadata(session: onnxruntime.InferenceSession, path: Path) -> dict[str, Any]:
    properties = session.get_modelmeta().custom_metadata_map
    schema = properties.get("schema")
    if schema != SCHEMA:
        raise OnnxEmulatorError(
            f"{path} is not an emulator of this version: its schema is {schema!r}, expected "
            f"{SCHEMA!r}; export it again with python -m export.to_onnx"
        )
    return {name: json.loads(text) for name, text in properties.items() if name != "schema"}
