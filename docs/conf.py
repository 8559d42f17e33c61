"""The documentation site: ``make docs`` builds it with Sphinx, and runs all code on its pages."""

import os
import re
import shutil
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
MODULE = r"## \1\n\n```{eval-rst}\n.. automodule:: \1\n```"
DOWNLOAD = '\n\n<a href="{}.ipynb" download>Download as a notebook</a>\n\n'
TUTORIAL = re.compile(r"tutorials/\d+-\w+")
sys.path[:0] = [str(DOCS), str(DOCS.parent)]

import nbformat  # noqa: E402
import try_page  # noqa: E402
from notebooks import notebook  # noqa: E402
from npm import MATHJAX, UnreachableError  # noqa: E402
from pages import HELP, blocks, timed  # noqa: E402

project = "hodspectra"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["**/runs", "runs"]
html_theme = "furo"
html_title = project
html_static_path = ["_static"]
html_css_files = ["site.css"]
mathjax_path = "mathjax.js"  # `from_npm` puts it there
html_show_copyright = False
html_show_sourcelink = False
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
default_role = "code"  # docstrings write `name`
autodoc_default_options = {"members": True, "special-members": "__call__"}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
maximum_signature_line_length = 88
python_use_unqualified_type_names = True
napoleon_use_ivar = True
napoleon_use_rtype = False


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


def run_page(page: Path, text: str) -> str:
    """A page with the output of its code, which runs in a fresh process."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(timed, page, text).result()


def start_pages(app: Any, env: Any, names: list[str], run: Any = run_page) -> None:
    """Begin to run the code of all pages: folders side by side, the pages of one in turn.

    Pages of a folder share its ``runs``, and later ones may need what earlier ones leave there.
    With ``sphinx -t plain``, which shows in seconds what pages look like, none runs.
    """
    app.running, pools = {}, {}
    if "plain" in app.tags:
        return
    for name in sorted(names, key=_by_number):
        page = Path(env.doc2path(name))
        text = page.read_text()
        if HELP in text or any(block.is_run for block in blocks(page, text)):
            pool = pools.setdefault(page.parent, ThreadPoolExecutor(1))
            app.running[name] = pool.submit(run, page, text)


def _by_number(name: str) -> list[Any]:
    """The order of pages: 2-points before 10-statistics."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def read_page(app: Any, name: str, source: list[str]) -> None:
    """Take a page with the output of its code, its modules, and a notebook of it."""
    text = source[0]
    if name in app.running:
        try:
            text = app.running[name].result()
        except Exception:
            for other in app.running.values():
                other.cancel()
            raise
    if TUTORIAL.fullmatch(name):
        text = text.replace("\n\n", DOWNLOAD.format(Path(name).name), 1)
    source[0] = re.sub(r"<!-- module (\S+) -->", MODULE, text)


def escape_bars(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """In docstrings, a bar is an absolute value, but for examples of code."""
    code = (">>> ", "... ")
    lines[:] = [
        line if line.lstrip().startswith(code) else line.replace("|", r"\|") for line in lines
    ]


def write_notebooks(app: Any, exception: Exception | None) -> None:
    """Put a notebook beside each tutorial's page."""
    for name in app.env.found_docs:
        if TUTORIAL.fullmatch(name) and not exception:
            page = Path(app.env.doc2path(name))
            nbformat.write(notebook(page, page.read_text()), app.outdir / f"{name}.ipynb")


def setup(app: Any) -> None:
    """Connect all this to Sphinx."""
    if "plain" not in app.tags:
        app.connect("builder-inited", start)
    app.connect("builder-inited", from_npm)
    app.connect("env-before-read-docs", start_pages)
    app.connect("source-read", read_page)
    app.connect("autodoc-process-docstring", escape_bars)
    app.connect("build-finished", write_notebooks)
