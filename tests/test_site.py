"""The site in a real browser: the page that computes, formulas, widths, links."""

import json
import os
import re
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import npm
import numpy as np
import pytest
import try_page
from npm import UnreachableError
from support.browser import chromium, tab

from export.runtime import load
from hodspectra import DeltaSigma, Wp

ROOT = Path(__file__).resolve().parent.parent
SPECTRA, STATISTICS = 1e-4, 1e-3  # WebAssembly rounds in its own way
LAPTOP, PHONE = (1366, 768), (390, 844)
READY = "document.querySelector('.try-time') !== null"
TABLE = """[...document.querySelectorAll('#try-texts button')]
    .find((one) => one.textContent.includes(%s)).click();
    document.getElementById('try-text').textContent"""

pytestmark = pytest.mark.slow


class Quiet(SimpleHTTPRequestHandler):
    """What ``python -m http.server`` serves with, without its lines on the terminal."""

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, without running the code on its pages, behind a plain web server."""
    chromium()  # or skip
    for package in (npm.ONNXRUNTIME, npm.MATHJAX):
        try:
            package.tarball()
        except UnreachableError as error:
            pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-t", "plain", "--quiet", "-d", folder / "cache",
               ROOT / "docs", folder / "site"]  # fmt: skip
    subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder / "site")))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder / "site", f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with tab(tmp_path_factory.mktemp("chromium")) as page:
        yield page


@pytest.fixture
def page(site, browser):
    """The page that computes, on a laptop, as it begins."""
    browser.resize(*LAPTOP)
    browser.complaints.clear()
    browser.requests.clear()
    browser.open(f"{site[1]}/try/index.html")
    browser.until(READY)
    return browser


def shown(page, text):
    """A table of the page: its columns by name without units."""
    lines = page.evaluate(TABLE % json.dumps(text)).splitlines()
    names, *rows = [line for line in lines if line and not line.startswith("#")]
    columns = np.array([row.split(",") for row in rows], float).T
    return {name.partition(" ")[0]: column for name, column in zip(names.split(","), columns)}


def set_to(page, name, value):
    """Type a value, and wait until the address has it, after the curves."""
    page.evaluate(
        f"""(() => {{
            const field = document.getElementById('try-{name}').nextElementSibling;
            field.value = '{value}';
            field.dispatchEvent(new Event('input'));
        }})()"""
    )
    given = f"new URLSearchParams(location.hash.slice(1)).get('{name}')"
    page.until(f"{given} === String(Number('{value}'))")


def test_it_shows_the_numbers_that_python_gives(page):
    script = page.evaluate(TABLE % '"Python"')
    assert script.startswith("import numpy")
    for emulator, whose, pi_max, changed in (
        ("tinker10", "zheng07", 100, {"sigma_8": 0.7, "z": 1.2}),
        ("tinker10", "more15", None, {"w0": -0.7, "wa": -0.5, "log10Mmin": 13.4}),
        ("standard", "linke22", 60, {"Mth": 3e12, "h": 0.6}),
        ("standard", "hmq", 100, {"Om_c": 0.2, "n_s": 1.0}),
    ):
        name = "inf" if pi_max is None else f"{pi_max}"
        page.evaluate(f"location.hash = 'emulator={emulator}&occupation={whose}&pi_max={name}'")
        page.until(f"document.getElementById('try-occupation').value == '{whose}'")
        for parameter, value in changed.items():
            set_to(page, parameter, value)
        names = page.evaluate("location.hash")[1:]
        given = dict(one.split("=") for one in names.split("&"))
        ours = load(emulator, occupation=whose)
        point = {n: float(given[n]) for n in ours.names}
        assert changed.items() <= point.items()
        spectra = [f"{pair}_{term}" for pair in ("mm", "gm", "gg") for term in ("1h", "total")]
        found = ours(point, spectra, k=try_page.WAVENUMBERS, extrapolate=True)
        w_p, lensing = Wp(try_page.RADII, pi_max), DeltaSigma(try_page.RADII, units="Msun/pc^2")
        statistics = ours(point, [w_p, lensing])
        theirs = shown(page, "P(k)")
        for one in spectra:
            np.testing.assert_allclose(theirs[one], found[one], rtol=SPECTRA, atol=1e-9)
        theirs = shown(page, "w_p")
        for one, values in statistics.items():
            np.testing.assert_allclose(
                theirs[one], values, rtol=STATISTICS, atol=1e-6 * np.abs(values).max()
            )


def test_a_slider_moves_the_curves(page):
    curve = "document.querySelector('#try-P path.gg.ttotal').getAttribute('d')"
    before, n_g = (
        page.evaluate(curve),
        page.evaluate("document.querySelector('#try-numbers').innerText"),
    )
    page.evaluate(
        """(() => {
            const slider = document.getElementById('try-log10Mmin');
            slider.value = 12.5;
            slider.dispatchEvent(new Event('input'));
        })()"""
    )
    page.until(f"{curve} != {json.dumps(before)}")
    assert page.evaluate("document.querySelector('#try-numbers').innerText") != n_g
    page.until("location.hash.includes('log10Mmin=12.5&')")


def test_outside_of_the_ranges_there_are_no_numbers(page):
    for name, value, said in (
        ("sigma_8", "1.31", "sigma_8 = 1.31 is outside the trained range [0.5, 1.2]"),
        ("sigma_8", "much", "sigma_8 = NaN is outside the trained range [0.5, 1.2]"),
    ):
        set_to(page, name, value)
        assert said in page.text
        assert page.evaluate("document.querySelectorAll('#try path.curve').length") == 0
        assert "no answer" in page.evaluate("document.getElementById('try-text').textContent")
    set_to(page, "sigma_8", "0.8")
    assert page.evaluate("document.querySelectorAll('#try path.curve').length") == 15
    set_to(page, "w0", "-0.5")
    set_to(page, "wa", "0.5")
    assert "w0 + wa is not below -0.1" in page.text


def test_a_link_holds_all_of_it(site, page):
    set_to(page, "sigma_8", "0.77")
    page.evaluate("document.querySelector('#try-lengths').value = 'Mpc/h'")
    page.evaluate("document.querySelector('#try-lengths').dispatchEvent(new Event('change'))")
    page.until("location.hash.includes('lengths=Mpc/h') && location.hash.includes('sigma_8=0.77')")
    link, table = page.evaluate("location.href"), shown(page, "w_p")
    page.open(link)
    page.until(READY)
    again = shown(page, "w_p")
    for name, values in table.items():
        np.testing.assert_array_equal(again[name], values)
    page.open(f"{site[1]}/try/index.html#occupation=linke22&Mth=2.5e+13")
    page.until(READY)
    assert '"Mth": 25000000000000,' in page.evaluate(TABLE % '"Python"')
    page.open(f"{site[1]}/try/index.html#occupation=zheng99&sigma_9=1&h=x")
    page.until(READY)
    for said in ("zheng99 is none of zheng07", "sigma_9 is no parameter", "h = x is no number"):
        assert said in page.text


def test_curves_can_be_kept_and_compared(page):
    page.evaluate("document.getElementById('try-keep').click()")
    set_to(page, "sigma_8", "0.7")
    assert page.evaluate("document.querySelectorAll('#try path.curve').length") == 30
    page.evaluate("document.getElementById('try-ratio').click()")
    assert page.evaluate("document.querySelectorAll('#try path.curve').length") == 15


def test_it_asks_nobody_else_and_complains_of_nothing(site, page):
    assert page.complaints == []
    ours = (site[1], "about:", "data:", "blob:")
    assert [url for url in page.requests if not url.startswith(ours)] == []
    assert len([url for url in page.requests if ".bin?" in url]) == 3


@pytest.mark.parametrize("size", [LAPTOP, PHONE], ids=["laptop", "phone"])
def test_it_fits_its_screen(site, browser, size, tmp_path):
    browser.resize(*size, is_phone=size == PHONE)
    browser.open(f"{site[1]}/try/index.html")
    browser.until(READY)
    assert browser.evaluate("document.documentElement.scrollWidth") <= size[0]
    fields = """[...document.querySelectorAll('.try-field')].every((one) =>
        one.getBoundingClientRect().right <= innerWidth)"""
    assert browser.evaluate(fields)
    # the plots stay in sight while the last slider is in the hand
    browser.evaluate("document.querySelector('#try-alpha').scrollIntoView({block: 'end'})")
    box = "document.querySelector('.try-stage').getBoundingClientRect()"
    assert browser.evaluate(f"{box}.top") >= 0
    assert browser.evaluate(f"{box}.top") < size[1] / 2


def test_without_onnxruntime_the_page_says_so(site, browser):
    record = site[0] / "try" / "try.json"
    text = record.read_text()
    try:
        record.write_text(json.dumps(json.loads(text) | {"missing": "it cannot be reached"}))
        browser.open(f"{site[1]}/try/index.html")
        browser.until("document.body.innerText.includes('it cannot be reached')")
    finally:
        record.write_text(text)


def pages(site):
    return sorted(str(path.relative_to(site[0])) for path in site[0].rglob("*.html"))


def test_every_page_shows_formulas_fits_and_asks_nobody_else(site, browser):
    browser.resize(*LAPTOP)
    browser.complaints.clear()
    browser.requests.clear()
    formulas = 0
    for name in pages(site):
        browser.open(f"{site[1]}/{name}")
        count = browser.evaluate("document.querySelectorAll('.math').length")
        browser.until(f"document.querySelectorAll('mjx-container').length >= {count}")
        assert browser.evaluate("document.querySelector('[data-mjx-error]') === null"), name
        formulas += count
        wide = browser.evaluate(
            """[...document.querySelectorAll('.table-wrapper, div.math')].filter((one) =>
                one.scrollWidth > one.clientWidth + 1).map((one) => one.innerText)"""
        )
        assert wide == [], name
        assert browser.evaluate("document.documentElement.scrollWidth") <= LAPTOP[0], name
    assert formulas > 100
    assert [
        url for url in browser.requests if not url.startswith((site[1], "about:", "data:"))
    ] == []
    assert [one for one in browser.complaints if "/runs/" not in one] == []


def test_no_link_within_the_site_is_broken(site):
    texts = {name: (site[0] / name).read_text() for name in pages(site)}
    ids = {name: set(re.findall(r'\bid="([^"]+)"', text)) for name, text in texts.items()}
    broken = []
    for name, text in texts.items():
        if name.startswith("_modules/"):  # Sphinx's own: of what a module re-exports they miss
            continue
        for link in re.findall(r'<a [^>]*href="([^":]+)"', text):
            file, _, anchor = link.partition("#")
            target = os.path.normpath(Path(name).parent / file) if file else name
            is_there = not file or (site[0] / target).exists()
            if not is_there or (anchor and anchor not in ids.get(target, {anchor})):
                broken.append((name, link))
    assert broken == []
