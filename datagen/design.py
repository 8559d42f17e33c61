"""Space-filling designs, as points and as parameter files: ``python -m datagen.design``."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from datagen.cli import run
from datagen.fields import RecordError, exactly, from_record
from datagen.files import HeldBack, atomic, exclusive
from datagen.header import SIZE, HeaderError, check_header, check_replaceable, write_header
from datagen.record import ContentHash, combined_hash
from datagen.space import Space, check_theta
from datagen.tables import TableError, comments, read_table

__all__ = ["SCHEMA", "Design", "Points", "draw", "write_design"]

_KIND = "hodspectra-parameters-"
SCHEMA = f"{_KIND}3"
_ROWS = 65_536  # rows handled at once where copies are made: 5 MB

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Design:
    """Distribution of points over the box.

    Attributes:
        points: Number of points.
        method: ``lhs`` is a Latin hypercube (each parameter evenly covered, for this number of
            points only), ``sobol`` a scrambled Sobol sequence (any prefix is well spread, so the
            design can be extended).
        seed: Seed of the random numbers; equal seeds give equal points.
    """

    points: int = 10_000
    method: Literal["lhs", "sobol"] = "lhs"
    seed: int = 1

    def __post_init__(self) -> None:
        if self.points < 1:
            raise ValueError(f"points = {self.points} must be at least 1")
        if self.seed < 0:
            raise ValueError(f"seed = {self.seed} must not be negative")
        if self.method not in ("lhs", "sobol"):
            raise ValueError(f"method = {self.method!r} must be 'lhs' or 'sobol'")


def draw(design: Design, space: Space) -> Array:
    """Draw the points of a design.

    Args:
        design: Number of points, method and seed.
        space: Box of the parameters.

    Returns:
        Points, columns in the order of ``space.names``, shape (points, P).

    Raises:
        ValueError: There are more points than fit into memory, or than the method can draw.

    Example:
        >>> draw(Design(points=100), Space(occupation="zheng07")).shape
        (100, 13)
    """
    try:
        return _drawn(design, space)
    except MemoryError as error:
        raise ValueError(
            f"design.points = {design.points} do not fit into memory ({error})"
        ) from error


def _drawn(design: Design, space: Space) -> Array:
    # a fixed parameter keeps its dimension, so that fixing it changes no other parameter
    dimensions, n = len(space.names), design.points
    if design.method == "lhs":
        unit = qmc.LatinHypercube(dimensions, rng=design.seed).random(n)
    else:
        # first a power of two, for which Sobol sequences are balanced, then the rest
        sobol, balanced = qmc.Sobol(dimensions, rng=design.seed), 1 << (n.bit_length() - 1)
        unit = np.concatenate([sobol.random(balanced), sobol.random(n - balanced)])
    for start in range(0, n, _ROWS):  # millions of points need no second copy
        rows = unit[start : start + _ROWS]
        rows[:] = space.from_unit(rows)
    return unit


@dataclass
class Points:
    """Points of a parameter space, as in a parameter file.

    Attributes:
        theta: Points, columns in the order of ``space.names``, shape (N, P).
        space: Box that contains the points.
        design: Entries of the `Design` that drew them; for a plain table of points, ``given``
            (its hash) and ``points`` (their number).
    """

    theta: Array
    space: Space
    design: dict[str, Any]

    @classmethod
    def of(cls, design: Design, space: Space) -> "Points":
        """Draw the points of a design; see `draw`."""
        return cls(draw(design, space), space, asdict(design))

    def write(self, path: Path) -> None:
        """Write a parameter file: HDF5 (``.h5``) or a text table (``.csv``).

        Both contain names, units, space, design and a checksum; the table, in one comment line.

        Raises:
            ValueError: The suffix is neither ``.h5`` nor ``.csv``.
        """
        content = {"schema": SCHEMA, "units": self.space.units, "space": self.space.as_dict()}
        content |= {"design": self.design}
        content |= {"sha256": _hash(self.theta, content)}
        if _suffix(path) == ".h5":
            with atomic(path) as partial:
                with HeldBack(partial, "w+") as disk:
                    with h5py.File(disk, "w", userblock_size=SIZE) as file:
                        theta = file.create_dataset("theta", data=self.theta)
                        theta.attrs["names"] = np.array(self.space.names, dtype=bytes)
                        units = np.array(list(self.space.units.values()), dtype=bytes)
                        theta.attrs["units"] = units
                        file.create_dataset("content", data=np.bytes_(json.dumps(content)))
                    disk.check()
                write_header(partial, SCHEMA)
        else:
            with atomic(path) as partial, partial.open("w") as file:
                file.write(f"# {json.dumps(content)}\n{','.join(self.space.names)}\n")
                for start in range(0, len(self.theta), _ROWS):
                    rows = self.theta[start : start + _ROWS].tolist()
                    file.writelines(",".join(map(repr, row)) + "\n" for row in rows)

    @classmethod
    def read(cls, path: Path, space: Space = Space()) -> "Points":
        """Read a parameter file, or any table whose columns are named after the parameters.

        A table may omit parameters that have a default (`Space.defaults`), for example those that
        the space holds fixed.

        Args:
            path: ``.h5`` file, or a table that `datagen.tables` reads; columns in any order.
            space: Box of the points of a table; parameter files contain their own.

        Raises:
            FileNotFoundError: The file does not exist.
            ValueError: The file is not a parameter file or was altered; points lie outside of the
                space, or where the halo model is not defined.
        """
        if not path.exists():
            raise FileNotFoundError(f"no parameter file at {path}; write one with datagen.design")
        try:
            is_h5 = path.suffix.lower() == ".h5"
            theta, own, content = _read_h5(path) if is_h5 else _read_table(path, space)
        except HeaderError:
            raise
        except TableError as error:
            reason = str(error).removeprefix(str(path)).lstrip(": ")
            raise ValueError(f"{path} is not a parameter file ({reason})") from error
        except MemoryError as error:
            raise ValueError(f"{path} does not fit into memory ({error})") from error
        except Exception as error:
            raise ValueError(
                f"{path} is not a parameter file ({error}); it needs the columns "
                f"{', '.join(space.names)}"
            ) from error
        if content is None:
            points = cls(theta, own, {})
            points.design = {"given": ContentHash.of(theta), "points": len(theta)}
        else:
            points = cls(theta, own, content["design"])
            if _hash(theta, content) != content["sha256"]:
                raise ValueError(
                    f"{path} was altered: its checksum does not match its content; if that is "
                    f"meant, save the points as a table without the comment line"
                )
        try:
            check_theta(theta, points.space.occupation)
            points.space.check(theta)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        return points


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in (".h5", ".csv"):
        raise ValueError(f"{path}: parameter files end in .h5 or .csv")
    return suffix


def _hash(theta: Array, content: dict[str, Any]) -> str:
    """SHA-256 of points, space and design."""
    described = json.dumps([content["space"], content["design"]], sort_keys=True)
    return combined_hash({"theta": ContentHash.of(theta), "described": described})


def _space(content: Any, path: Path) -> Space:
    """Box in the description of a parameter file, which must have exactly the known entries."""
    try:
        exactly(content, ("schema", "units", "space", "design", "sha256"), "its description")
        if "given" in (design := content["design"]):
            exactly(design, ("given", "points"), "design")
        else:
            from_record(Design, design, "design")
        space = Space.from_dict(content["space"])
        if content["units"] != space.units:
            raise RecordError(f"its units are {content['units']}, not {space.units}")
        return space
    except ValueError as error:
        raise HeaderError(f"{path}: {error}") from error


def _read_h5(path: Path) -> tuple[Array, Space, dict[str, Any]]:
    check_header(path, SCHEMA, "parameter file")
    with h5py.File(path) as file:
        names, theta = file["theta"].attrs["names"].astype(str).tolist(), file["theta"][()]
        content = json.loads(file["content"][()])
        space = _space(content, path)
        columns = [names.index(name) for name in space.names]
        return np.ascontiguousarray(theta[:, columns]), space, content


def _read_table(path: Path, space: Space) -> tuple[Array, Space, dict[str, Any] | None]:
    described = [line for line in comments(path) if _KIND in line]
    if not described:
        return read_table(path, space.units, space.defaults), space, None
    try:
        content = json.loads(described[0].lstrip("# "))
    except ValueError as error:
        raise HeaderError(
            f"{path} was altered: its comment line is not as it was written ({error}); if that is "
            f"meant, save the points as a table without the comment line"
        ) from error
    if content["schema"] != SCHEMA:
        raise ValueError(f"schema {content['schema']!r}, this version reads {SCHEMA!r}")
    space = _space(content, path)
    return read_table(path, space.units), space, content


def write_design(
    out: Path, design: Design = Design(), space: Space = Space(), overwrite: bool = False
) -> Path:
    """Draw points of a parameter space and write them without labels.

    Args:
        out: Parameter file to write: HDF5 (``.h5``) or a text table (``.csv``).
        design: Number of points and method of sampling.
        space: Ranges of the parameters.
        overwrite: Replace an existing parameter file.

    Returns:
        Path of the parameter file.

    Raises:
        FileExistsError: The file exists, or is not a parameter file.
        BusyError: Another process is writing the file.
    """
    _suffix(out)
    with exclusive(out):
        check_replaceable(out, SCHEMA, "parameter file", overwrite)
        Points.of(design, space).write(out)
    print(f"{design.points} points in {out}")  # noqa: T201
    return out


def main(argv: list[str] | None = None) -> None:
    """Command line of `write_design`."""
    run(write_design, "python -m datagen.design", argv)


if __name__ == "__main__":
    main()
