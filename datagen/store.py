"""The label file: points, spectra, derived numbers, and everything needed to read them.

One HDF5 file, written whole or not at all, and in blocks of rows, so that it may be larger than
memory::

    theta            (N, 10)  attributes: names, units
    k                (K,)     attribute: units
    P_lin, mm_1h, mm_2h, gm_1h, gm_2h, gg_1h, gg_2h    (N, K)  attribute: units
    n_g, b_eff, f_sat, mean_mass                       (N,)    attribute: units
    failed/index, failed/reason                        points that could not be computed

Every array has the attribute ``sha256``. The file has ``schema``, ``metadata`` (JSON: model,
space, design, versions, commit) and a ``sha256`` over all of these and the failed points. Nothing
in it depends on when, or how often interrupted, it was written. Totals are sums and not stored.
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

from datagen.files import HeldBack, atomic
from datagen.halomodel import CORRELATIONS, DERIVED
from datagen.record import ContentHash, combined_hash
from datagen.space import PARAMETERS, UNITS

__all__ = ["SCHEMA", "Block", "Spectra", "StoreError", "read_blocks", "write_blocks"]

SCHEMA = "hodspectra-labels-2"
STORED: tuple[str, ...] = (
    "P_lin",
    *(f"{xy}_{term}" for xy in CORRELATIONS for term in ("1h", "2h")),
)
NAMES: tuple[str, ...] = (*STORED, *DERIVED)
ROWS = 256  # rows of an HDF5 chunk: 100 kB

Block = dict[str, NDArray[np.float64]]  # theta and the arrays of some rows, by name


class StoreError(ValueError):
    """A label file that is missing something, damaged, or not a label file."""


@dataclass
class Spectra:
    """Points and their spectra, in memory.

    Attributes:
        theta: Points, columns `datagen.space.PARAMETERS`, shape (N, 10).
        k: Wavenumbers [1/Mpc], shape (K,).
        arrays: ``P_lin``, ``mm_1h``, ... [Mpc^3], each (N, K), and the keys of
            `datagen.halomodel.DERIVED`, each (N,); all of them, or those that were read. Labels
            from elsewhere may lack the derived numbers.
        metadata: Model, space, design, versions and commit.
        failed: Index in the design and reason of every point that could not be computed; such
            points have no row.
        unread: SHA-256 of every array of the label file that was not read.
    """

    theta: NDArray[np.float64]
    k: NDArray[np.float64]
    arrays: dict[str, NDArray[np.float64]]
    metadata: dict[str, Any]
    failed: dict[int, str] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shapes = _shapes(len(self.theta), len(self.k))
        for name, array in {**self.arrays, "theta": self.theta}.items():
            if array.shape != shapes.get(name):
                raise StoreError(f"{name} has shape {array.shape}, expected {shapes.get(name)}")

    def __len__(self) -> int:
        return len(self.theta)

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        """A spectrum [Mpc^3], shape (N, K), by name: ``gg_1h``, ``gg_2h``, ``gg_total``, ..."""
        terms = _terms(name)
        if missing := [term for term in terms if term not in self.arrays]:
            raise KeyError(f"{missing[0]} was not read; there are {', '.join(self.arrays)}")
        first, *others = (self.arrays[term] for term in terms)
        return first + others[0] if others else first

    def select(self, rows: NDArray[np.intp]) -> "Spectra":
        """The given rows of what was read, as labels of their own."""
        arrays = {name: array[rows] for name, array in self.arrays.items()}
        return Spectra(self.theta[rows], self.k, arrays, self.metadata)

    def is_positive(self, names: Iterable[str]) -> NDArray[np.bool_]:
        """Whether all the named spectra of a point have a logarithm at every k, shape (N,)."""
        positive: NDArray[np.bool_] = np.all([(self[n] > 0).all(axis=1) for n in names], axis=0)
        return positive

    def hash(self) -> str:
        """SHA-256 of points, wavenumbers and spectra, whether they were read or not."""
        arrays = {**self.arrays, "theta": self.theta, "k": self.k}
        return combined_hash(self.unread | {n: ContentHash.of(a) for n, a in arrays.items()})

    def write(self, path: Path) -> None:
        """Write the label file; an interrupted write leaves nothing behind.

        Raises:
            StoreError: A spectrum is missing, for example because it was not read.
        """
        blocks = [{**self.arrays, "theta": self.theta}]
        derived = tuple(name for name in DERIVED if name in self.arrays)
        write_blocks(path, blocks, len(self), self.k, self.metadata, self.failed, derived)

    @classmethod
    def read(cls, path: Path, names: Iterable[str] | None = None) -> "Spectra":
        """Read a label file and check that it is whole.

        Args:
            path: The label file.
            names: Spectra to load, such as ``gg_1h`` or ``gg_total``; all by default. The points
                and wavenumbers are always loaded.

        Raises:
            FileNotFoundError: No such file.
            StoreError: Not a label file of this schema, truncated, or altered.
            KeyError: A name that no label file has.
        """
        asked = None if names is None else [term for name in names for term in _terms(name)]
        with _open(path) as (file, digests):
            there = [name for name in NAMES if name in digests]
            wanted = dict.fromkeys(there if asked is None else asked)
            if missing := [name for name in wanted if name not in there]:
                raise StoreError(f"{path} lacks {', '.join(missing)}; it was made elsewhere")
            arrays = {name: file[name][()] for name in ("theta", "k", *wanted)}
            for name, array in arrays.items():
                if ContentHash.of(array) != digests[name]:
                    raise StoreError(f"{path} was altered: the checksum of {name} does not match")
            return cls(
                theta=arrays.pop("theta"),
                k=arrays.pop("k"),
                arrays=arrays,
                metadata=json.loads(file.attrs["metadata"]),
                failed=_failed(file),
                unread={name: digests[name] for name in there if name not in wanted},
            )


def read_blocks(path: Path, rows: int = ROWS) -> Iterator[Block]:
    """The rows of a label file in blocks, in order, for files larger than memory.

    Raises:
        FileNotFoundError: No such file.
        StoreError: As in `Spectra.read`; altered content is found when all blocks were read.
    """
    with _open(path) as (file, digests):
        names = [name for name in digests if name != "k"]
        content = {name: ContentHash(file[name].shape, file[name].dtype) for name in names}
        for start in range(0, len(file["theta"]), rows):
            block = {name: file[name][start : start + rows] for name in names}
            for name, array in block.items():
                content[name].update(array)
            yield block
        for name in names:
            if content[name].hexdigest() != digests[name]:
                raise StoreError(f"{path} was altered: the checksum of {name} does not match")


def write_blocks(
    path: Path,
    blocks: Iterable[Block],
    rows: int,
    k: NDArray[np.float64],
    metadata: dict[str, Any],
    failed: dict[int, str],
    derived: tuple[str, ...] = tuple(DERIVED),
) -> None:
    """Write a label file block by block; an interrupted write leaves nothing behind.

    Args:
        path: The label file.
        blocks: All arrays of some rows each, in order.
        rows: Number of rows of all blocks.
        k: Wavenumbers [1/Mpc], shape (K,).
        metadata: Model, space, design, versions and commit.
        failed: Index in the design and reason of every point that could not be computed.
        derived: Which derived numbers the blocks have.

    Raises:
        StoreError: The blocks lack an array, or have more or fewer rows than announced.
        OSError: The file could not be written.
    """
    shapes = _shapes(rows, len(k))
    shapes = {name: shapes[name] for name in ("theta", *STORED, *derived)}
    with atomic(path) as partial, HeldBack(partial, "w+") as disk:
        with h5py.File(disk, "w") as file:
            digests = _fill(file, disk, blocks, shapes)
            _describe(file, k, metadata, failed, digests)
        disk.check()


def _fill(
    file: Any, disk: HeldBack, blocks: Iterable[Block], shapes: dict[str, tuple[int, ...]]
) -> dict[str, str]:
    """Write rows as they come; the checksum of every array, by name."""
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
            raise StoreError(f"more than the {rows} rows of labels that were announced came")
        for name in shapes:
            file[name][start:stop] = block[name]
            content[name].update(block[name])
        start = stop
        disk.check()
    if start < rows:
        raise StoreError(f"{start} rows of labels came where {rows} were announced")
    return {name: array.hexdigest() for name, array in content.items()}


def _describe(
    file: Any, k: Any, metadata: dict[str, Any], failed: dict[int, str], digests: dict[str, str]
) -> None:
    """Add all that is not rows: wavenumbers, failed points, units, metadata and checksums."""
    file.create_dataset("k", data=k).attrs["units"] = "1/Mpc"
    file["theta"].attrs["names"] = list(PARAMETERS)
    file["theta"].attrs["units"] = [UNITS[name] for name in PARAMETERS]
    units = dict.fromkeys(STORED, "Mpc^3") | DERIVED
    for name in [name for name in units if name in digests]:  # in order: equal files stay equal
        file[name].attrs["units"] = units[name]
    digests = digests | {"k": ContentHash.of(k)}
    for name, digest in digests.items():
        file[name].attrs["sha256"] = digest
    reasons = list(failed.values())
    file.create_dataset("failed/index", data=np.array(list(failed), dtype=np.int64))
    file.create_dataset("failed/reason", data=reasons, dtype=h5py.string_dtype())
    file.attrs["schema"] = SCHEMA
    file.attrs["metadata"] = json.dumps(metadata, sort_keys=True)
    file.attrs["sha256"] = _whole(file, digests)


@contextmanager
def _open(path: Path) -> Iterator[tuple[Any, dict[str, str]]]:
    """A label file, checked but for its arrays, and the checksums of these by name."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(
            f"no label file at {path}; make one with python -m datagen.generate --out {path}"
        )
    try:
        with h5py.File(path) as file:
            if file.attrs.get("schema") != SCHEMA:
                raise StoreError(
                    f"{path} has schema {file.attrs.get('schema')!r}, this version reads "
                    f"{SCHEMA!r}; generate the labels again, with --overwrite true"
                )
            columns = list(file["theta"].attrs["names"])
            if columns != list(PARAMETERS):
                raise StoreError(f"{path} has columns {columns}, expected {list(PARAMETERS)}")
            derived = [name for name in DERIVED if name in file]
            names = ("theta", "k", *STORED, *derived)
            digests = {name: str(file[name].attrs["sha256"]) for name in names}
            if _whole(file, digests) != file.attrs["sha256"]:
                raise StoreError(f"{path} was altered: its checksum does not match its content")
            yield file, digests
    except StoreError:
        raise
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise StoreError(
            f"{path} is not a whole label file ({error}); generate the labels again, "
            f"with --overwrite true"
        ) from error


def _whole(file: Any, digests: dict[str, str]) -> str:
    failed = json.dumps(list(_failed(file).items()))
    return combined_hash(digests | {"metadata": str(file.attrs["metadata"]), "failed": failed})


def _failed(file: Any) -> dict[int, str]:
    pairs = zip(file["failed/index"][()], file["failed/reason"][()], strict=True)
    return {int(index): reason.decode() for index, reason in pairs}


def _shapes(N: int, K: int) -> dict[str, tuple[int, ...]]:
    """Shape of points and arrays by name."""
    shapes: dict[str, tuple[int, ...]] = {"theta": (N, len(PARAMETERS))}
    return shapes | dict.fromkeys(STORED, (N, K)) | dict.fromkeys(DERIVED, (N,))


def _terms(name: str) -> tuple[str, ...]:
    """The stored arrays behind a name: itself, or both terms of a total."""
    if name.endswith("_total") and name[:-6] in CORRELATIONS:
        return f"{name[:-6]}_1h", f"{name[:-6]}_2h"
    if name not in NAMES:
        raise KeyError(f"no spectrum {name!r}; there are {', '.join(NAMES)} and totals")
    return (name,)
