"""Open text files of common encodings, compressed or not, and recognise files that are not text."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TextIO

__all__ = ["TableError", "open_text"]

_MARKS = {  # byte order marks, longer ones first, since some begin with another one
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
_OTHERS = {  # other kinds of files by their first bytes
    b"PK": "a zip archive, as .npz and .xlsx are",
    b"\x89HDF": "HDF5",
    b"\x93NUMPY": "an array of numpy, .npy",
    b"PAR1": "Parquet",
    b"SIMPLE  =": "FITS",
    b"<": "XML or HTML",
    b"\xd0\xcf\x11\xe0": "a spreadsheet, .xls",
}


class TableError(ValueError):
    """Error of a table of points that cannot be read; the message begins with its path."""


@contextmanager
def open_text(path: Path, errors: str = "surrogateescape") -> Iterator[TextIO]:
    """Open a text file for reading: UTF-8 or as in its byte order mark, optionally gzipped.

    Args:
        path: File.
        errors: Error handler for bytes that are not UTF-8, see `open`. The default keeps them as
            surrogates, which are harmless in comments.

    Raises:
        TableError: The file is not text.
    """
    with path.open("rb") as raw:
        packed = raw.peek(2)[:2] == b"\x1f\x8b"
        binary: Any = gzip.GzipFile(fileobj=raw) if packed else raw
        start = binary.peek(512)[:512]
        if found := [name for first, name in _OTHERS.items() if start.startswith(first)]:
            raise TableError(f"{path} is not text but {found[0]}")
        encoding = next((name for mark, name in _MARKS.items() if start.startswith(mark)), "")
        if not encoding and b"\0" in start:
            raise TableError(f"{path} is not text: it has zero bytes; save it as UTF-8")
        errors = "strict" if encoding.startswith(("utf-16", "utf-32")) else errors
        with TextIOWrapper(binary, encoding=encoding or "utf-8", errors=errors) as text:
            yield text
