"""The documentation site: ``make docs`` builds it with Sphinx, and runs all code on its pages."""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from docutils.nodes import SkipNode
from docutils.utils.math.latex2mathml import tex2mathml

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS), str(DOCS.parent)]

from pages import executed, help_texts  # noqa: E402

project = "hodspectra"
author = "the authors of hodspectra"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["**/runs", "runs"]
html_theme = "furo"
html_title = project
html_math_renderer = "mathml"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
default_role = "code"  # docstrings write `name`
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"


def start(app: Any) -> None:
    """Remove what an earlier build's code left, so that every build is a first one."""
    os.environ["HODSPECTRA_CACHE"] = str(DOCS / "runs" / "cache")
    for folder in (DOCS, DOCS / "tutorials"):
        shutil.rmtree(folder / "runs", ignore_errors=True)
        (folder / "runs").mkdir()


def run_code(app: Any, name: str, source: list[str]) -> None:
    """Run a page's code in the page's folder, where it may write to ``runs``."""
    page = Path(app.env.doc2path(name))
    text = source[0].replace("<!-- commands -->", help_texts()) if name == "commands" else source[0]
    source[0] = executed(page, text, page.parent)


def escape_bars(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """In docstrings, a bar is an absolute value."""
    lines[:] = [line.replace("|", r"\|") for line in lines]


def inline_math(translator: Any, node: Any) -> None:
    """A formula in the text; browsers draw MathML without a script."""
    translator.body.append(tex2mathml(node.astext()))
    raise SkipNode


def display_math(translator: Any, node: Any) -> None:
    """A formula on its own line."""
    translator.body.append(tex2mathml(node.astext(), as_block=True))
    raise SkipNode


def setup(app: Any) -> None:
    """Connect all this to Sphinx."""
    app.add_html_math_renderer("mathml", (inline_math, None), (display_math, None))
    app.connect("builder-inited", start)
    app.connect("source-read", run_code)
    app.connect("autodoc-process-docstring", escape_bars)
