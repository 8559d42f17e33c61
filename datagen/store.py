"""The label file: points, spectra, derived numbers, and metadata.

An HDF5 file, written atomically and in blocks of rows, so that it may be larger than memory::

    (the first 512 bytes: schema, and SHA-256 of all the rest; see `datagen.header`)
    theta            (N, P)  attributes: names, units
    k                (K,)     attribute: units
    P_lin, mm_1h, mm_2h, gm_1h, gm_2h, gg_1h, gg_2h    (N, K)  attribute: units
    n_g, b_eff, f_sat, mean_mass                       (N,)    attribute: units
    metadata         JSON: model, space, design, versions, commit, hash of the code
    failed           JSON: index and reason of the points that could not be computed

Every array has the attribute ``sha256``, which identifies labels: it depends neither on the time
of writing nor on interruptions. Texts have fixed lengths, since HDF5 would store others in a heap.
Totals are sums and not stored.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from datagen.fields import exactly
from datagen.files import HeldBack, atomic
from datagen.halomodel import HaloModelConfig
from datagen.header import SIZE, DamagedError, HeaderError, check_header, write_header
from datagen.occupations.extras import TRANSITION, total
from datagen.occupations.functions import NUMPY
from datagen.outputs import AXES, NUMBERS, OUTPUTS, SPECTRA
from datagen.record import ContentHash, combined_hash
from datagen.space import Space

__all__ = ["SCHEMA", "Block", "Spectra", "StoreError", "read_blocks", "write_blocks"]

SCHEMA = "hodspectra-labels-4"
STORED: tuple[str, ...] = tuple(name for name in SPECTRA if not OUTPUTS[name].is_total)
ARRAYS: tuple[str, ...] = (*STORED, *NUMBERS)
METADATA, MORE_METADATA = ("model", "space", "design", "provenance"), ("extends", "imported")
ROWS = 256  # rows of an HDF5 chunk: 100 kB

Block = dict[str, NDArray[np.float64]]  # theta and the arrays of some rows, by name


class StoreError(ValueError):
    """Error of incomplete labels, and of files that are damaged or not label files."""


_EXPONENT = TRANSITION.name  # parameter of totals that are not plain sums


@dataclass
class Spectra:
    """Points and their spectra (labels), in memory.

    Attributes:
        theta: Points, columns in the order of ``metadata["space"]``, shape (N, P).
        k: Wavenumbers [1/Mpc], shape (K,).
        arrays: Arrays by name: ``P_lin``, ``mm_1h``, ... [Mpc^3], each (N, K), and
            `datagen.outputs.NUMBERS`, each (N,), as far as they were read. Imported labels may
            have no such numbers.
        metadata: ``model``, ``space``, ``design`` and ``provenance``; also ``extends`` if the file
            was extended, and ``imported`` if it was imported.
        failed: Reasons of points that could not be computed, by index in the design; such points
            have no row.
        unread: SHA-256 of the arrays of the label file that were not read, by name.
    """

    theta: NDArray[np.float64]
    k: NDArray[np.float64]
    arrays: dict[str, NDArray[np.float64]]
    metadata: dict[str, Any]
    failed: dict[int, str] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        columns = len(self.metadata.get("space", self.theta.T))
        shapes = _shapes(len(self.theta), columns, len(self.k))
        for name, array in {**self.arrays, "theta": self.theta}.items():
            if array.shape != shapes.get(name):
                raise StoreError(f"{name} has shape {array.shape}, expected {shapes.get(name)}")

    def __len__(self) -> int:
        return len(self.theta)

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        """Return a spectrum [Mpc^3], shape (N, K), or a derived number, shape (N,).

        Args:
            name: One of `datagen.outputs.OUTPUTS`, such as ``gg_1h``, ``gg_total`` or ``n_g``.

        Raises:
            KeyError: The name is unknown, or was not read.
        """
        terms = _terms(name)
        if missing := [term for term in terms if term not in self.arrays]:
            raise KeyError(f"{missing[0]} was not read; there are {', '.join(self.arrays)}")
        first, *others = (self.arrays[term] for term in terms)
        if not others:
            return first
        columns = list(self.metadata.get("space", ()))
        if _EXPONENT not in columns:
            return first + others[0]
        exponent = self.theta[:, columns.index(_EXPONENT), None]
        return np.asarray(total(first, others[0], {_EXPONENT: exponent}, NUMPY))

    def select(self, rows: NDArray[np.intp]) -> "Spectra":
        """Return labels with some of the rows only."""
        arrays = {name: array[rows] for name, array in self.arrays.items()}
        return Spectra(self.theta[rows], self.k, arrays, self.metadata)

    def is_positive(self, names: Iterable[str]) -> NDArray[np.bool_]:
        """Return whether all the named outputs of a point are positive, shape (N,).

        A spectrum must be positive at every k.
        """

        def of(name: str) -> NDArray[np.bool_]:
            above = self[name] > 0
            return np.asarray(above.all(axis=tuple(range(1, above.ndim))))

        positive: NDArray[np.bool_] = np.all([of(name) for name in names], axis=0)
        return positive

    def hash(self) -> str:
        """Return the SHA-256 of points, wavenumbers and all arrays, including unread ones."""
        arrays = {**self.arrays, "theta": self.theta, "k": self.k}
        return combined_hash(self.unread | {n: ContentHash.of(a) for n, a in arrays.items()})

    def write(self, path: Path) -> None:
        """Write the label file atomically.

        Raises:
            StoreError: A spectrum is missing, for example because it was not read.
            OSError: The file could not be written.
        """
        blocks = [{**self.arrays, "theta": self.theta}]
        derived = tuple(name for name in NUMBERS if name in self.arrays)
        write_blocks(path, blocks, len(self), self.k, self.metadata, self.failed, derived)

    @classmethod
    def read(cls, path: Path, names: Iterable[str] | None = None) -> "Spectra":
        """Read a label file and verify its checksum.

        Args:
            path: Label file.
            names: Outputs to read, such as ``gg_1h`` or ``gg_total``; by default all. Points and
                wavenumbers are always read.

        Raises:
            FileNotFoundError: The file does not exist.
            StoreError: The file is not a label file of this version, or is damaged, altered, or
                without one of the outputs.
            KeyError: There is no output of that name.
        """
        asked = None if names is None else [term for name in names for term in _terms(name)]
        with _open(path) as (file, digests):
            there = [name for name in ARRAYS if name in digests]
            wanted = dict.fromkeys(there if asked is None else asked)
            if missing := [name for name in wanted if name not in there]:
                raise StoreError(f"{path} lacks {', '.join(missing)}; hodspectra did not write it")
            arrays = {name: file[name][()] for name in ("theta", "k", *wanted)}
            return cls(
                theta=arrays.pop("theta"),
                k=arrays.pop("k"),
                arrays=arrays,
                metadata=_metadata(file, path),
                failed={int(i): why for i, why in json.loads(file["failed"][()]).items()},
                unread={name: digests[name] for name in there if name not in wanted},
            )


def read_blocks(path: Path, rows: int = ROWS) -> Iterator[Block]:
    """Read a label file in blocks of rows, for files larger than memory.

    Args:
        path: Label file.
        rows: Number of rows of a block.

    Yields:
        ``theta`` and all arrays of the rows, by name.

    Raises:
        FileNotFoundError: The file does not exist.
        StoreError: The file is not a label file of this version, damaged or altered.
    """
    with _open(path) as (file, digests):
        names = [name for name in digests if name != "k"]
        for start in range(0, len(file["theta"]), rows):
            yield {name: file[name][start : start + rows] for name in names}


def write_blocks(
    path: Path,
    blocks: Iterable[Block],
    rows: int,
    k: NDArray[np.float64],
    metadata: dict[str, Any],
    failed: dict[int, str],
    derived: tuple[str, ...] = NUMBERS,
) -> None:
    """Write a label file atomically, block by block.

    Args:
        path: Label file.
        blocks: Blocks of rows, in order, each with ``theta`` and all arrays by name.
        rows: Number of rows of all blocks together.
        k: Wavenumbers [1/Mpc], shape (K,).
        metadata: Metadata, see `Spectra`.
        failed: Reasons of points that could not be computed, by index in the design.
        derived: Names of the derived numbers in the blocks.

    Raises:
        StoreError: A block lacks an array, the number of rows is not ``rows``, or an entry of the
            metadata is missing or unknown.
        OSError: The file could not be written.
    """
    _check_metadata(metadata, str(path))
    shapes = _shapes(rows, len(metadata["space"]), len(k))
    shapes = {name: shapes[name] for name in ("theta", *STORED, *derived)}
    with atomic(path) as partial:
        with HeldBack(partial, "w+") as disk:
            with h5py.File(disk, "w", userblock_size=SIZE) as file:
                digests = _fill(file, disk, blocks, shapes)
                _describe(file, k, metadata, failed, digests)
            disk.check()
        write_header(partial, SCHEMA)


def _fill(
    file: Any, disk: HeldBack, blocks: Iterable[Block], shapes: dict[str, tuple[int, ...]]
) -> dict[str, str]:
    """Write blocks of rows; return the checksum of every array, by name."""
    rows = shapes["theta"][0]
    content = {name: ContentHash(shape, np.dtype(float)) for name, shape in shapes.items()}
    for name, shape in shapes.items():
        file.create_dataset(name, shape, dtype=float, chunks=(min(rows, ROWS), *shape[1:]))
    start = 0
    for block in blocks:
        if missing := [name for name in shapes if name not in block]:
            raise StoreError(f"labels lack {', '.join(missing)}")
        stop = start + len(block["theta"])
        if stop > rows:
            raise StoreError(f"labels have more rows than the {rows} that were announced")
        for name in shapes:
            file[name][start:stop] = block[name]
            content[name].update(block[name])
        start = stop
        disk.check()
    if start < rows:
        raise StoreError(f"labels have {start} rows, not the {rows} that were announced")
    return {name: array.hexdigest() for name, array in content.items()}


def _describe(
    file: Any, k: Any, metadata: dict[str, Any], failed: dict[int, str], digests: dict[str, str]
) -> None:
    """Write wavenumbers, failed points, units, metadata and hashes."""
    file.create_dataset("k", data=k)
    columns = Space.from_dict(metadata["space"]).units
    file["theta"].attrs["names"] = np.array(list(columns), dtype=bytes)
    file["theta"].attrs["units"] = np.array(list(columns.values()), dtype=bytes)
    units = {"k": AXES["k"]} | {name: OUTPUTS[name].unit for name in ARRAYS}
    digests = digests | {"k": ContentHash.of(k)}
    for name in [name for name in units if name in digests]:  # fixed order: files are reproducible
        file[name].attrs["units"] = np.bytes_(units[name])
    for name, digest in digests.items():
        file[name].attrs["sha256"] = np.bytes_(digest)
    for name, content in (("metadata", metadata), ("failed", failed)):
        text = json.dumps(content, sort_keys=name == "metadata")
        file.create_dataset(name, data=np.bytes_(text))


@contextmanager
def _open(path: Path) -> Iterator[tuple[Any, dict[str, str]]]:
    """Open a label file after verifying its checksum; also the hashes of its arrays, by name."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(
            f"no label file at {path}; make one with hodspectra generate --out {path}"
        )
    try:
        check_header(path, SCHEMA, "label file")
        with h5py.File(path) as file:
            columns = file["theta"].attrs["names"].astype(str).tolist()
            expected = list(_metadata(file, path)["space"])
            if columns != expected:
                raise StoreError(f"{path} has columns {columns}, expected {expected}")
            derived = [name for name in NUMBERS if name in file]
            names = ("theta", "k", *STORED, *derived)
            yield file, {name: file[name].attrs["sha256"].decode() for name in names}
    except StoreError:
        raise
    except DamagedError as error:
        raise StoreError(f"{error}; make it again, with --overwrite true") from error
    except HeaderError as error:
        raise StoreError(str(error)) from error
    except MemoryError as error:
        raise StoreError(f"{path} does not fit into memory ({error})") from error
    except Exception as error:
        raise StoreError(f"{path} is not a whole label file ({error})") from error


def _metadata(file: Any, path: Path) -> dict[str, Any]:
    metadata: dict[str, Any] = json.loads(file["metadata"][()])
    _check_metadata(metadata, str(path))
    # the stored text is sorted by name; restore the order of columns
    return metadata | {"space": Space.from_dict(metadata["space"]).as_dict()}


def _check_metadata(metadata: dict[str, Any], where: str) -> None:
    """Raise a `StoreError` if entries of metadata are missing, unknown or invalid."""
    try:
        exactly(metadata, METADATA, "metadata", optional=MORE_METADATA)
        HaloModelConfig.from_dict(metadata["model"])
        Space.from_dict(metadata["space"])
    except ValueError as error:
        raise StoreError(f"{where}: {error}") from error


def _shapes(N: int, P: int, K: int) -> dict[str, tuple[int, ...]]:
    """Shapes of points and arrays by name."""
    shapes: dict[str, tuple[int, ...]] = {"theta": (N, P)}
    return shapes | dict.fromkeys(STORED, (N, K)) | dict.fromkeys(NUMBERS, (N,))


def _terms(name: str) -> tuple[str, ...]:
    """Names of the stored arrays of an output: its own, or both terms of a total."""
    if name not in OUTPUTS:
        raise KeyError(f"no spectrum {name!r}; there are {', '.join(OUTPUTS)}")
    return OUTPUTS[name].terms or (name,)
