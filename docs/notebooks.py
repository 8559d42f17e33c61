"""Pages as Jupyter notebooks: their blocks of code are cells, and so is the text between them."""

import re
from collections.abc import Iterator
from pathlib import Path

from nbformat import NotebookNode, v4
from pages import blocks

__all__ = ["notebook"]

_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!https?://)[^)]*\)", re.DOTALL)
_FIGURE = re.compile(r"^!\[[^\]]*\]\((\S+)\)$", re.MULTILINE)
_SKIP = re.compile(r"^<!-- skip:.*-->$", re.MULTILINE)


def notebook(page: Path, text: str) -> NotebookNode:
    """A page in Markdown as a notebook.

    Blocks of ``sh`` become cells with the magic ``%%sh``. Figures become cells that show them,
    unless the block above has drawn them. Blocks that a build skips stay text. Links to other
    pages become plain words.

    Args:
        page: The page's file, which messages name.
        text: Its text.
    """
    cells = []
    for number, cell in enumerate(_cells(page, text)):
        cell.id = f"cell-{number}"  # not at random: a build is like the one before
        cells.append(cell)
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def _cells(page: Path, text: str) -> Iterator[NotebookNode]:
    done, code = 0, ""
    for block in blocks(page, text):
        if block.is_run:
            yield from _between(text[done : block.start], code)
            code = f"%%sh\n{block.code}" if block.language == "sh" else block.code
            yield v4.new_code_cell(code.strip())
            done = block.end
    yield from _between(text[done:], code)


def _between(text: str, code: str) -> Iterator[NotebookNode]:
    """Cells of the text below a block, which may have drawn figures that the text shows."""
    parts = _FIGURE.split(_LINK.sub(r"\1", _SKIP.sub("", text)))
    for number, part in enumerate(parts):
        if number % 2 == 0 and part.strip():
            yield v4.new_markdown_cell(part.strip())
        if number % 2 and f'savefig("{part}")' not in code:
            yield v4.new_code_cell(f'from IPython.display import Image\n\nImage("{part}")')
