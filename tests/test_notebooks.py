"""Tutorials as notebooks: valid ones, whose cells are the blocks and the text of the pages."""

import ast
import re

import nbformat
import pytest
from notebooks import notebook
from pages import ROOT, blocks

TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("[0-9]*.md"))
PAGE = ROOT / "page.md"
FIGURE = re.compile(r'from IPython\.display import Image\n\nImage\("(.*)"\)')


def code(cells):
    return [cell.source for cell in cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_every_tutorial_is_a_notebook_of_its_blocks(path):
    text = path.read_text()
    made = notebook(path, text)
    nbformat.validate(made)
    run = [block for block in blocks(path, text) if block.is_run]
    cells = [source for source in code(made.cells) if not FIGURE.fullmatch(source)]
    assert len(run) == len(cells)
    for block, source in zip(run, cells, strict=True):
        magic, _, rest = source.partition("\n")
        if block.language == "sh":
            assert (magic, rest) == ("%%sh", block.code.strip())
        else:
            ast.parse(source)
            assert source == block.code.strip()
    shown = [found[1] for source in code(made.cells) if (found := FIGURE.fullmatch(source))]
    drawn = re.findall(r'savefig\("(.*)"\)', "\n".join(cells))
    assert sorted(shown + drawn) == sorted(re.findall(r"\]\((runs/.*)\)", text))


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_its_text_is_the_page_without_links_to_other_pages(path):
    made = notebook(path, path.read_text())
    words = "\n\n".join(cell.source for cell in made.cells if cell.cell_type == "markdown")
    assert words.startswith(path.read_text().splitlines()[0])
    assert ".md" not in words
    assert "<!--" not in words


def test_blocks_that_are_skipped_are_text():
    text = '# T\n\n<!-- skip: next "it takes long" -->\n```sh\nmake\n```\n\n```python\nx = 1\n```\n'
    cells = notebook(PAGE, text).cells
    assert [cell.cell_type for cell in cells] == ["markdown", "code"]
    assert cells[0].source == "# T\n\n\n```sh\nmake\n```"


def test_links_to_pages_are_words_and_others_stay():
    text = "see [this\npage](a.md#b) and [that](https://example.org)\n"
    (cell,) = notebook(PAGE, text).cells
    assert cell.source == "see this\npage and [that](https://example.org)"


def test_a_notebook_is_the_same_every_time():
    text = TUTORIALS[0].read_text()
    assert nbformat.writes(notebook(PAGE, text)) == nbformat.writes(notebook(PAGE, text))
