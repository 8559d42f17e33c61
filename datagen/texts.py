"""Text files in the encodings that there are, packed or not; what is no text is named."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TextIO

__all__ = ["TableError", "open_text"]

_MARKS = {  # byte order marks; the longer ones first, as one is the beginning of another
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
_OTHERS = {  # files by their first bytes
    b"PK": "a zip archive, as .npz and .xlsx are",
    b"\x89HDF": "HDF5",
    b"\x93NUMPY": "an array of numpy, .npy",
    b"PAR1": "Parquet",
    b"SIMPLE  =": "FITS",
    b"<": "XML or HTML",
    b"\xd0\xcf\x11\xe0": "a spreadsheet, .xls",
}


class TableError(ValueError):
    """A table of points that cannot be read; the message begins with its path."""


@contextmanager
def open_text(path: Path, errors: str = "surrogateescape") -> Iterator[TextIO]:
    """Open a text: UTF-8, or what its byte order mark says; unpacked if it is gzip.

    Args:
        path: The file.
        errors: What happens to bytes that are not UTF-8. As lone surrogates, the default, they do
            no harm in comments.

    Raises:
        TableError: It is not text.
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
