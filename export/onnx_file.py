"""Read an emulator from an ONNX file, checked completely before anything is run."""

import base64
import json
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.domain import Domain
from datagen.fields import RecordError, exactly, from_record
from datagen.large_scales import FEATURES
from datagen.messages import shortened
from datagen.outputs import output
from datagen.seal import is_whole
from datagen.space import SumBelow, parameters_of
from export.between import merged, with_added
from export.galaxies import Nodes
from export.graph import Graph, read_metadata
from export.protobuf import WireError
from export.ranges import Parameter, read_only

__all__ = ["SCHEMA", "OnnxEmulatorError", "OnnxFile"]

SCHEMA = "hodspectra-onnx-5"
_METADATA = (
    "kind", "parameters", "outputs", "k", "learnt_totals", "limits", "domains", "bao", "network",
    "halo_model", "nodes", "spare", "provenance", "record", "export", "citation",
)  # fmt: skip
_RECORDS = (
    "parameters", "outputs", "network", "halo_model", "nodes", "provenance", "export",
)  # fmt: skip
_LATER = ("record", "weights")  # without effect on predictions; read on request
_ADDED = ("floor", "speed")  # written by `benchmarks.evaluate.file_record`
_BEHIND = ("between", "weights")  # see `export.between`, `export.weights`
_AGAIN = "get it again, or export it again with hodspectra export"


class OnnxEmulatorError(ValueError):
    """An ONNX file that is damaged, of another schema, or not an emulator."""


@dataclass(frozen=True)
class OnnxFile:
    """Contents of an ONNX file.

    Attributes:
        graph: The graph.
        texts: Metadata, JSON by name.
        parameters: Inputs, in the order of columns.
        units: Units of the outputs by name, in their order.
        k: Wavenumbers [1/Mpc], shape (K,), read-only.
        learnt_totals: Totals that are learnt rather than summed from their terms.
        domains: Domains within the box; empty if the emulator holds everywhere.
        bao: Map of `emulator.bao`, as arrays; None without one.
        nodes: Grid of halo masses; None if the occupation is learnt and cannot be changed.
        spare_content: The bytes of `spare`.
        more_k: Additional wavenumbers [1/Mpc] at which the graph can be evaluated.
        between: Parts of the graph at `more_k`, in base64; see `export.between`.
        other: Name of the occupation that replaces the file's own; None if it is not replaced, and
            empty if the replacement has no record.
    """

    graph: Graph
    texts: dict[str, str]
    parameters: tuple[Parameter, ...]
    units: dict[str, str]
    k: NDArray[np.float64]
    learnt_totals: tuple[str, ...]
    domains: tuple[Domain | SumBelow, ...]
    bao: dict[str, Any] | None
    nodes: Nodes | None
    spare_content: bytes
    more_k: NDArray[np.float64]
    between: str
    other: str | None = None

    @cached_property
    def spare(self) -> Graph | None:
        """Further parts of the graph for additions to the occupation; None if it has none.

        Raises:
            RecordError: Not a graph.
        """
        try:
            return Graph.read(self.spare_content) if self.spare_content else None
        except ValueError as error:
            raise RecordError(f"spare is not a graph ({error})") from None

    @cached_property
    def wider(self) -> "OnnxFile":
        """The file with `more_k` included in its wavenumbers; itself if it has none.

        Raises:
            RecordError: Parts that do not fit the graph.
        """
        if not len(self.more_k):
            return self
        k, own = merged(self.k, self.more_k)
        bao = self.bao
        if bao:
            matrix = np.zeros((len(bao["matrix"]), len(k)))
            matrix[:, own] = bao["matrix"]
            bao = bao | {"matrix": matrix}
        try:
            more = base64.b64decode(self.between, validate=True), self.k, self.more_k
            graph = with_added(self.graph, *more)
            spare = with_added(self.spare, *more).encode() if self.spare else b""
        except ValueError as error:
            raise RecordError(f"between does not fit the graph ({error})") from None
        return replace(
            self,
            graph=graph,
            k=read_only(k),
            bao=bao,
            spare_content=spare,
            more_k=np.empty(0),
            between="",
        )

    @cached_property
    def record(self) -> dict[str, Any]:
        """Record of the accuracy."""
        record: dict[str, Any] = json.loads(self.texts["record"])
        if self.other is None:
            return record
        found: dict[str, Any] = record.get("occupations", {}).get(self.other, {})
        return found

    @property
    def occupation(self) -> str:
        """Name of the occupation: the group of the parameters that are not of cosmology."""
        return next(p.group for p in self.parameters if p.is_occupation)

    @classmethod
    def read(cls, content: bytes, path: Path) -> "OnnxFile":
        """Read and check a file, without running it.

        Args:
            content: The bytes of the file.
            path: Path of the file, for messages.

        Raises:
            OnnxEmulatorError: Damaged, altered, of another schema, or not an emulator.
        """
        try:
            texts = read_metadata(content)
        except WireError as error:
            raise OnnxEmulatorError(f"{path} is not a readable ONNX file ({error})") from None
        schema, digest = texts.pop("schema", None), texts.pop("sha256", "")
        if schema != SCHEMA:
            raise OnnxEmulatorError(
                f"{path} is not an emulator of this version: its schema is {schema!r}, expected "
                f"{SCHEMA!r}; {_AGAIN}"
            )
        try:
            graph = Graph.read(content)
            if not is_whole(content, digest):
                raise OnnxEmulatorError(
                    f"{path} was altered: its checksum does not match its content; {_AGAIN}"
                )
            return cls(graph=graph, texts=texts, **_described(texts))
        except OnnxEmulatorError:
            raise
        except ValueError as error:
            raise OnnxEmulatorError(f"{path} is damaged or forged: {error}; {_AGAIN}") from None


def _described(texts: dict[str, str]) -> dict[str, Any]:
    """Metadata as attributes of `OnnxFile`, checked.

    Raises:
        ValueError: Missing, unknown or invalid metadata.
    """
    exactly(texts, _METADATA, "its metadata", optional=(*_ADDED, *_BEHIND))
    meta = {name: _json(text, name) for name, text in texts.items() if name not in _LATER}
    for name in _RECORDS:
        if not isinstance(meta[name], dict):
            raise RecordError(f"{name} is not a record")
    record = texts["record"]
    if not (record.startswith("{") and record.endswith("}")):
        raise RecordError("record is not a record")
    units, totals, k = meta["outputs"], meta["learnt_totals"], _array(meta["k"], "k", 1)
    parameters = _parameters(meta["parameters"])
    if not units or not all(type(u) is str for u in units.values()):
        raise RecordError("it has no outputs with units")
    for name, unit in units.items():
        if unit != output(name).unit:
            raise RecordError(f"{name} is in {unit}, not in {output(name).unit}")
    if not (k > 0).all() or not (np.diff(k) > 0).all():
        raise RecordError("k does not increase from above 0")
    if not isinstance(totals, list) or not all(name in units for name in map(str, totals)):
        raise RecordError(f"learnt_totals is {totals}, not a list of outputs")
    for name in ("limits", "domains"):
        if not isinstance(meta[name], list):
            raise RecordError(f"{name} is not a list")
    more_k, between = _between(meta.get("between"), k)
    return {
        "parameters": parameters,
        "units": units,
        "k": read_only(k),
        "learnt_totals": tuple(map(str, totals)),
        "domains": (
            *(from_record(SumBelow, one, "limits") for one in meta["limits"]),
            *(from_record(Domain, one, "domains") for one in meta["domains"]),
        ),
        "bao": _bao(meta["bao"], len(k)),
        "nodes": from_record(Nodes, meta["nodes"], "nodes") if meta["nodes"] else None,
        "spare_content": _spare(meta["spare"]),
        "more_k": more_k,
        "between": between,
    }


def _between(found: Any, k: NDArray[np.float64]) -> tuple[NDArray[np.float64], str]:
    if found is None:
        return np.empty(0), ""
    exactly(found, ("k", "graph"), "between")
    more = _array(found["k"], "between.k", 1)
    both = np.concatenate([k, more])
    if not (np.diff(more) > 0).all() or len(np.unique(both)) < len(both):
        raise RecordError("between.k does not increase, or repeats wavenumbers of k")
    if more[0] < k[0] or more[-1] > k[-1]:
        raise RecordError("between.k is not between wavenumbers of k")
    if not isinstance(found["graph"], str):
        raise RecordError("between.graph is not a text")
    return read_only(more), found["graph"]


def _parameters(records: dict[str, Any]) -> tuple[Parameter, ...]:
    """Parameters of cosmology and redshift, followed by those of an occupation."""
    found = tuple(_parameter(name, one) for name, one in records.items())
    first = next((p for p in found if p.is_occupation), None)
    if first is None:
        raise RecordError("parameters has none of an occupation")
    try:
        known = parameters_of(first.group)
    except ValueError as error:
        raise RecordError(f"parameters.{first.name}.group: {error}") from None
    exactly(records, known, "parameters")
    if list(records) != list(known):
        raise RecordError(f"parameters are not in the order {', '.join(known)}")
    for p in found:
        if p.group != known[p.name].group:
            raise RecordError(f"parameters.{p.name}.group is not {known[p.name].group!r}")
    return found


def _spare(text: Any) -> bytes:
    if not isinstance(text, str):
        raise RecordError(f"spare is {shortened(repr(text), 40)}, not a text")
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise RecordError(f"spare is not a graph ({error})") from None


def _json(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{name} is not JSON ({error})") from None


def _parameter(name: str, record: Any) -> Parameter:
    names = [field.name for field in fields(Parameter) if field.name != "name"]
    where = f"parameters.{name}"
    return from_record(Parameter, {"name": name, **exactly(record, names, where)}, where)


def _array(numbers: Any, name: str, ndim: int) -> NDArray[np.float64]:
    """An array of finite numbers that is not empty."""
    try:
        array = np.asarray(numbers)
    except ValueError:  # rows of different lengths
        array = np.array(None)
    if array.ndim != ndim or array.dtype.kind not in "fi" or not np.isfinite(array).all():
        raise RecordError(f"{name} is not {'a number' if ndim == 0 else 'an array of numbers'}")
    if not array.size:
        raise RecordError(f"{name} is empty")
    return array.astype(np.float64)


def _bao(found: Any, K: int) -> dict[str, Any] | None:
    if found == {}:
        return None
    exactly(found, ("k", "matrix", "offset", "accuracy", "below"), "bao")
    exactly(found["below"], ("k", "matrix", "offset", "accuracy"), "bao.below")
    below = _linear_map(found["below"], FEATURES, "bao.below")
    return _linear_map(found, K, "bao") | {"below": below}


def _linear_map(found: dict[str, Any], inputs: int, where: str) -> dict[str, Any]:
    """Linear map to values at wavenumbers: ``matrix`` (F, inputs), ``offset`` (F,), ``k`` (F,)."""
    k, offset = (_array(found[name], f"{where}.{name}", 1) for name in ("k", "offset"))
    matrix = _array(found["matrix"], f"{where}.matrix", 2)
    if matrix.shape != (len(k), inputs) or len(offset) != len(k) or not (k > 0).all():
        raise RecordError(f"{where}.matrix has shape {matrix.shape}, expected ({len(k)}, {inputs})")
    return {"k": k, "matrix": matrix, "offset": offset}
