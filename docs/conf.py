"""The documentation site: ``make docs`` builds it with Sphinx, and runs all code on its pages."""

import os
import re
import shutil
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
MODULE = r"### \1\n\n```{eval-rst}\n.. automodule:: \1\n```"
sys.path[:0] = [str(DOCS), str(DOCS.parent)]

import try_page  # noqa: E402
from npm import MATHJAX, UnreachableError  # noqa: E402
from pages import executed, help_texts  # noqa: E402

project = "hodspectra"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["**/runs", "runs"]
html_theme = "furo"
html_title = project
html_static_path = ["_static"]
html_css_files = ["site.css"]
mathjax_path = "mathjax.js"  # `from_npm` puts it there
html_show_copyright = False
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
default_role = "code"  # docstrings write `name`
autodoc_default_options = {"members": True, "special-members": "__call__"}
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # docstrings say what arguments are
napoleon_use_ivar = True


def start(app: Any) -> None:
    """Remove what an earlier build's code left, so that every build is a first one.

    As in a fresh clone there is no ``runs`` then: a page that needs it makes it.
    """
    cache = Path(app.doctreedir) / "cache"
    os.environ["HODSPECTRA_CACHE"] = str(cache)
    for folder in (DOCS / "runs", DOCS / "tutorials" / "runs", cache):
        shutil.rmtree(folder, ignore_errors=True)


def from_npm(app: Any) -> None:
    """Put into the site what comes from npm, and what the page that computes needs.

    Without a registry the site is built all the same: formulas stay TeX, the page says why it
    does not compute.
    """
    if app.builder.format != "html":
        return
    site = Path(app.outdir)
    lacks = [try_page.write(site / "try")]
    try:
        script = MATHJAX.files("es5/tex-svg.js")["es5/tex-svg.js"]
        (site / "_static").mkdir(parents=True, exist_ok=True)
        (site / "_static" / mathjax_path).write_bytes(script)
    except UnreachableError as error:
        lacks.append(str(error))
    for reason in filter(None, lacks):
        print(f"the site lacks a part: {reason}", file=sys.stderr)  # noqa: T201


def run_code(app: Any, name: str, source: list[str]) -> None:
    """Run a page's code in a fresh process and the page's folder; it may write to ``runs``.

    Not with ``sphinx -t plain``, which shows in seconds what pages look like.
    """
    page = Path(app.env.doc2path(name))
    text = source[0].replace("<!-- commands -->", help_texts()) if name == "commands" else source[0]
    text = re.sub(r"<!-- module (\S+) -->", MODULE, text)
    if app.tags.has("plain"):
        source[0] = text
        return
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        source[0] = process.submit(executed, page, text, page.parent).result()


def escape_bars(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """In docstrings, a bar is an absolute value."""
    lines[:] = [line.replace("|", r"\|") for line in lines]


def setup(app: Any) -> None:
    """Connect all this to Sphinx."""
    if not app.tags.has("plain"):
        app.connect("builder-inited", start)
    app.connect("builder-inited", from_npm)
    app.connect("source-read", run_code)
    app.connect("autodoc-process-docstring", escape_bars)
