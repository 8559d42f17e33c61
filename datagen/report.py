"""Reports as self-contained HTML files: text, tables, embedded figures."""

import base64
from collections.abc import Iterable
from html import escape
from pathlib import Path
from string import Template

__all__ = ["figure", "link", "markdown", "page", "paragraph", "preformatted", "table"]

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 2rem auto;
       padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.2rem 0.9rem 0.2rem 0; text-align: left; border-bottom: 1px solid #ddd;
         vertical-align: top; }
td:last-child { overflow-wrap: anywhere; min-width: 4rem; }
figure { margin: 1.5rem 0; } img { max-width: 100%; }
figcaption, .note { color: #555; font-size: 0.9rem; }
.lead { font-size: 1.1rem; }
pre { font-size: 0.8rem; line-height: 1.35; white-space: pre-wrap; }
.good { border-left: 4px solid #009E73; padding-left: 0.8rem; }
.bad { border-left: 4px solid #D55E00; padding-left: 0.8rem; }
</style>
</head>
<body>
<h1>$title</h1>
$body
</body>
</html>
""")


def page(title: str, sections: dict[str, list[str]]) -> str:
    """Return a page of sections: headings, each with pieces from the functions below."""
    body = [
        (f"<h2>{escape(heading)}</h2>\n" if heading else "") + "\n".join(pieces)
        for heading, pieces in sections.items()
    ]
    return _PAGE.substitute(title=escape(title), body="\n".join(body))


def paragraph(text: str, kind: str = "note") -> str:
    """Return a paragraph; ``kind`` is ``lead``, ``note``, ``good`` or ``bad``."""
    return f'<p class="{kind}">{escape(text)}</p>'


def table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a table; an empty header is omitted."""
    lines = ["<table>"]
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    if head:
        lines.append(f"<tr>{head}</tr>")
    lines += [
        "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows
    ]
    return "\n".join([*lines, "</table>"])


def markdown(text: str) -> str:
    """Convert paragraphs and tables of Markdown, as written by ``render`` of a study."""
    pieces, rows = [], []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip("|").split("|")])
            continue
        if rows:
            header, _, *others = rows  # the second row is the rule below the header
            pieces.append(table(header, others))
            rows = []
        if line:
            pieces.append(paragraph(line))
    return "\n".join(pieces)


def preformatted(text: str) -> str:
    """Return preformatted text."""
    return f"<pre>{escape(text)}</pre>"


def link(href: str, text: str) -> str:
    """Return a paragraph with a link."""
    return f'<p><a href="{escape(href)}">{escape(text)}</a></p>'


def figure(png: Path, caption: str, folder: str = "") -> str:
    """Return an embedded figure, with a link to the PDF beside it.

    Args:
        png: Path of the figure; its PDF has the same name.
        caption: Caption.
        folder: Folder of the PDF relative to the page, as a prefix of links: ``figures/``.
    """
    data = base64.b64encode(png.read_bytes()).decode()
    pdf = folder + png.with_suffix(".pdf").name
    return (
        f'<figure><img alt="{escape(caption)}" src="data:image/png;base64,{data}">'
        f'<figcaption>{escape(caption)} (<a href="{escape(pdf)}">PDF</a>)</figcaption></figure>'
    )
