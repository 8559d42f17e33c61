"""Write outputs of many points to a file, block by block: a table, arrays, or a figure."""

import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.files import atomic
from datagen.outputs import output

__all__ = ["DRAWN", "WRITTEN", "check_suffix", "writing"]

Results = Mapping[str, NDArray[np.float32]]
Write = Callable[[Results], None]

WRITTEN = (".csv", ".npz", ".png", ".pdf")
_AT_ONCE = 100_000  # numbers of a table to format at once
DRAWN = 12  # number of points in a figure


def check_suffix(path: Path) -> str:
    """Return the suffix of an output file, lower case.

    Raises:
        ValueError: A suffix that is not in `WRITTEN`.
    """
    if (suffix := path.suffix.lower()) not in WRITTEN:
        raise ValueError(f"{path}: results are written to {', '.join(WRITTEN)}")
    return suffix


@contextmanager
def writing(path: Path, k: NDArray[np.float64], units: Mapping[str, str]) -> Iterator[Write]:
    """Context manager to write outputs block by block; the file appears when it is complete.

    A table has a line for each point and wavenumber, with numbers repeated. An npz has ``k`` and an
    array for each output. A figure shows the first points.

    Args:
        path: The file; its suffix selects the format, see `WRITTEN`.
        k: Wavenumbers [1/Mpc], shape (K,).
        units: Units of the outputs by name.

    Yields:
        A function that writes a block: spectra (n, K) and numbers (n,) by name.

    Raises:
        ValueError: An unknown suffix; a figure without a spectrum at two wavenumbers.
        OSError: The file cannot be written.
    """
    suffix = check_suffix(path)
    try:
        with atomic(path) as partial:
            if suffix == ".csv":
                writer = _table(partial, k, units)
            elif suffix == ".npz":
                writer = _arrays(partial, k)
            else:
                writer = _figure(partial, k, suffix[1:])
            with writer as write:
                yield write
    except OSError as error:
        if error.filename is None and error.errno is not None:  # a full disk; name the file
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


@contextmanager
def _table(path: Path, k: NDArray[np.float64], units: Mapping[str, str]) -> Iterator[Write]:
    with path.open("w", newline="") as file:
        count = 0

        def write(results: Results) -> None:
            nonlocal count
            if not count:
                described = ", ".join(f"{name} [{units[name]}]" for name in results)
                file.write(f"# k [1/Mpc], {described}\n{','.join(['point', 'k', *results])}\n")
            row = ",%.8g" * len(results)
            lines = "".join(f"%d,{each:.8g}{row}\n" for each in k.tolist())  # for one point
            N, columns = len(next(iter(results.values()))), len(results) + 1
            table = np.empty((N, len(k), columns))
            table[..., 0] = np.arange(count, count + N)[:, None]
            for i, values in enumerate(results.values(), 1):
                table[..., i] = values if values.ndim == 2 else values[:, None]
            step = max(1, _AT_ONCE // (len(k) * columns))
            for start in range(0, N, step):
                part = table[start : start + step]
                file.write(lines * len(part) % tuple(part.ravel().tolist()))
            count += N

        yield write


@contextmanager
def _arrays(path: Path, k: NDArray[np.float64]) -> Iterator[Write]:
    """An npz; arrays are collected in temporary files until their lengths are known."""
    with ExitStack() as stack:
        files: dict[str, Any] = {}
        shapes: dict[str, tuple[int, ...]] = {}
        count = 0

        def write(results: Results) -> None:
            nonlocal count
            for name, values in results.items():
                if name not in files:
                    files[name] = stack.enter_context(tempfile.TemporaryFile(dir=path.parent))
                    shapes[name] = values.shape[1:]
                files[name].write(np.ascontiguousarray(values, "<f4").data)
            count += len(next(iter(results.values())))

        yield write
        with zipfile.ZipFile(path, "w") as archive:
            with archive.open("k.npy", "w") as member:
                np.lib.format.write_array(member, k, allow_pickle=False)
            for name, file in files.items():
                header = {"descr": "<f4", "fortran_order": False, "shape": (count, *shapes[name])}
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array_header_1_0(member, header)
                    file.seek(0)
                    shutil.copyfileobj(file, member, 1 << 20)


@contextmanager
def _figure(path: Path, k: NDArray[np.float64], kind: str) -> Iterator[Write]:
    """Spectra of the first points, in the styles of their kinds; later points are paler."""
    from datagen import figures  # needs matplotlib; predictions do not

    shown: dict[str, NDArray[np.float32]] = {}

    def write(results: Results) -> None:
        for name, values in results.items():
            if values.ndim == 2:
                shown.setdefault(name, values[:DRAWN])
        if len(k) < 2 or not shown:
            raise ValueError("a figure needs a spectrum at two wavenumbers at least")

    yield write
    with figures.style():
        figure = figures.new_figure(5, 4)
        axes = figure.subplots()
        for name, values in shown.items():
            one = output(name)
            for i, Pk in enumerate(values):
                axes.loglog(
                    k,
                    Pk,
                    color=figures.CORRELATION_COLOURS.get(one.correlation, "black"),
                    ls=figures.TERM_STYLES.get(one.term, "-"),
                    alpha=1 - 0.7 * i / len(values),
                    label=None if i else figures.spectrum_label(name),
                )
            if len(values) > 1:
                axes.set_title(f"points 0 (dark) to {len(values) - 1} (pale)")
        figures.k_axis(axes, k)
        axes.set_ylabel(figures.P_LABEL)
        axes.legend()
        figure.savefig(path, format=kind, metadata=figures.FILE_METADATA[kind])
