"""The code on pages: it runs, what it prints is shown, and what fails is named."""

import re
from concurrent.futures import Future
from types import SimpleNamespace

import pytest
from pages import ROOT, BlockError, commands, executed, help_texts, timed

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
PAGES += [page for name in ("api", "tutorials", "try") for page in ROOT.glob(f"docs/{name}/*.md")]
RUN = {"sh", "python"}
READ = {
    "text",
    "{toctree}",
    "{eval-rst}",
    "{include}",
    "{literalinclude}",
    "{raw}",
}  # output, Sphinx's own
SETTINGS = {"yaml", "ini"}  # of other codes; the adapters' tests use the like


def page(*blocks: str) -> str:
    return "\n\n".join(f"```{block}\n```" for block in blocks)


def run(tmp_path, *blocks: str) -> str:
    return executed(tmp_path / "page.md", page(*blocks), tmp_path)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_block_is_run_or_says_why_not(path):
    text = path.read_text()
    fences = re.findall(r"^```(.*)$", text, re.M)
    assert {fence.partition(" ")[0] for fence in fences[::2]} <= RUN | READ | SETTINGS
    assert not any(fences[1::2])
    for reason in re.findall(r"^<!-- skip:(.*)-->", text, re.M):
        assert re.fullmatch(r' next "[^"]{10,}" ', reason)


def test_output_stands_below_its_block(tmp_path):
    text = run(tmp_path, "python\nx = 2\nprint(x)", "sh\necho three > file", "python\nprint(x * 2)")
    one, two, three = page("python\nx = 2\nprint(x)", "sh\necho three > file",
                           "python\nprint(x * 2)").split("\n\n")  # fmt: skip
    assert text == "\n\n".join([one, "```text\n2\n```", two, three, "```text\n4\n```"])
    assert (tmp_path / "file").read_text() == "three\n"


def test_a_table_is_shown_as_one(tmp_path):
    table = "| a |\n|---|\n| 1 |"
    block = f"python\nprint({table!r})"
    assert run(tmp_path, block) == f"{page(block)}\n\n{table}"


def test_commands_are_those_of_this_tree(tmp_path):
    text = run(tmp_path, "sh\npython -c 'import export; print(export.__file__)'")
    assert f"```text\n{ROOT / 'export' / '__init__.py'}\n```" in text


def test_a_block_may_be_left_out(tmp_path):
    text = '<!-- skip: next "it would fail" -->\n' + page("sh\nfalse")
    assert executed(tmp_path / "page.md", text, tmp_path) == text


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("python\nprint('so far')\n1 / 0", "page.md, line 5: division by zero\nso far"),
        ("sh\necho so far\nls nothing\necho on", "line 5: status .*nothing.*\nso far"),
        ("sh\necho $NOT_SET", "NOT_SET"),
    ],
)
def test_a_block_that_fails_is_named(tmp_path, block, message):
    with pytest.raises(BlockError, match=re.compile(message, re.S)):
        run(tmp_path, "python\nx = 1", block)


def test_every_command_has_its_help_on_the_site():
    text = help_texts()
    for command in commands():
        assert f"## {command}\n\n```text\nusage: python -m {command} " in text
    assert "### datagen.nnpowerspectra import\n" in text
    assert "--parameters PARAMETERS" in text
    assert {"datagen.generate", "tuning.search", "export.info"} <= set(commands())


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_that_writes_to_runs_makes_it_first(path):
    """Commands of ours make the folders that they write to; nothing else does."""
    text = path.read_text()
    write = re.search(r"""(> ?|savefig\(["']|export\(["'])runs/""", text)
    if write:
        assert re.search(r"mkdir -p runs\b|Path\(\"runs\"\).mkdir\(", text[: write.start()])


def test_the_site_is_built_as_in_a_fresh_clone(tmp_path, monkeypatch):
    import conf

    monkeypatch.setenv("HODSPECTRA_CACHE", "")
    monkeypatch.setattr(conf, "DOCS", tmp_path)
    (tmp_path / "tutorials" / "runs" / "old").mkdir(parents=True)
    conf.start(SimpleNamespace(doctreedir=tmp_path / "site" / ".doctrees"))
    assert [path.name for path in tmp_path.rglob("*")] == ["tutorials"]


def test_a_page_tells_how_long_its_code_took(capsys):
    timed(ROOT / "docs" / "page.md", page("python\nx = 1"))
    assert re.fullmatch(r" +\d+\.\d s, +\d+\.\d s of CPU  docs/page\.md\n", capsys.readouterr().err)


def test_pages_that_share_files_run_in_the_order_of_their_numbers(tmp_path):
    import conf

    for name in ("10-last", "2-middle", "1-first"):
        text = page(f"sh\necho {name} >> order")
        (tmp_path / f"{name}.md").write_text(text)
    (tmp_path / "plain.md").write_text("no code")
    app, env = (
        SimpleNamespace(tags=set()),
        SimpleNamespace(doc2path=lambda name: tmp_path / f"{name}.md"),
    )
    conf.start_pages(app, env, ["10-last", "1-first", "plain", "2-middle"], run=executed_at)
    assert list(app.running) == ["1-first", "2-middle", "10-last"]
    for future in app.running.values():
        future.result()
    assert (tmp_path / "order").read_text() == "1-first\n2-middle\n10-last\n"


def executed_at(path, text):
    return executed(path, text, path.parent)


def test_a_tutorial_links_to_its_notebook():
    import conf

    source = ["# 2. Points\n\nText.\n"]
    conf.read_page(SimpleNamespace(running={}), "tutorials/2-points", source)
    link = '<a href="2-points.ipynb" download>Download as a notebook</a>'
    assert source == [f"# 2. Points\n\n{link}\n\nText.\n"]


def test_a_page_that_fails_ends_the_others():
    import conf

    failed, waiting = Future(), Future()
    failed.set_exception(BlockError("page.md, line 1"))
    running = {"one": failed, "two": waiting}
    with pytest.raises(BlockError, match="page.md, line 1"):
        conf.read_page(SimpleNamespace(running=running), "one", ["text"])
    assert waiting.cancelled()


def test_bars_of_docstrings_are_no_markup_but_stay_in_examples():
    import conf

    lines = ["Errors |P / P_ref - 1|.", "", "    >>> point | more", "    ... | most"]
    conf.escape_bars(None, "function", "f", None, {}, lines)
    assert lines == [r"Errors \|P / P_ref - 1\|.", "", "    >>> point | more", "    ... | most"]
