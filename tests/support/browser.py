"""Headless Chromium, driven through its DevTools: what pages show after their scripts have run."""

import asyncio
import base64
import json
import os
import shutil
import subprocess
import tarfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import aiohttp
import pytest
from npm import CHROMIUM, UnreachableError

_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--remote-debugging-port=0", "--window-size=1400,900",
)  # fmt: skip
_UNPACK = (
    "process.stdout.write(require('zlib').brotliDecompressSync(require('fs').readFileSync(0)))"
)
_LIBRARIES = "bin/al2023.tar.br"


def chromium():
    """Chromium's file and the environment that it needs; skips the test if there is none.

    It is the one of the machine, else one from npm, which node unpacks and the user's cache keeps.
    """
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found, dict(os.environ)
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs Chromium (Debian: apt install chromium), or node to unpack npm's")
    try:
        folder = CHROMIUM.tarball().with_suffix("")
    except UnreachableError as error:
        pytest.skip(f"needs Chromium (Debian: apt install chromium); {error}")
    program, libraries = folder / "chromium", folder / "lib"
    if not program.exists():
        folder.mkdir(exist_ok=True)
        packed = CHROMIUM.files("bin/chromium.br", _LIBRARIES)
        for member, to in ((_LIBRARIES, folder / "lib.tar"), ("bin/chromium.br", program)):
            partial = to.with_suffix(".partial")
            with partial.open("wb") as out:
                subprocess.run([node, "-e", _UNPACK], input=packed[member], stdout=out, check=True)
            if to.suffix == ".tar":
                with tarfile.open(partial) as archive:
                    archive.extractall(folder, filter="data")
            partial.chmod(0o755)
            partial.rename(to)
    paths = [os.environ.get("LD_LIBRARY_PATH", ""), str(libraries)]
    return str(program), os.environ | {"LD_LIBRARY_PATH": os.pathsep.join(filter(None, paths))}


class Tab:
    """The page that is open.

    Attributes:
        complaints: Errors and warnings of the pages so far.
        requests: URLs of all that they asked for.
    """

    def __init__(self, loop, socket):
        self._loop, self._socket, self._number = loop, socket, 0
        self.complaints, self.requests = [], []

    def call(self, method, **parameters):
        """The answer to a command of the DevTools protocol."""
        return self._loop.run_until_complete(self._call(method, parameters))

    async def _call(self, method, parameters):
        self._number += 1
        number = self._number
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            message = json.loads((await self._socket.receive()).data)
            if message.get("id") == number:
                assert "error" not in message, f"{method}: {message['error']}"
                return message["result"]
            self._note(message.get("method"), message.get("params"))

    def _note(self, event, given):
        if event == "Network.requestWillBeSent":
            self.requests.append(given["request"]["url"])
        elif event == "Runtime.exceptionThrown":
            self.complaints.append(str(given["exceptionDetails"]))
        elif event == "Log.entryAdded" and given["entry"]["level"] in ("error", "warning"):
            self.complaints.append(str(given["entry"]))
        elif event == "Runtime.consoleAPICalled" and given["type"] in ("error", "warning"):
            self.complaints.append(str(given["args"]))

    def resize(self, width, height, is_phone=False):
        """Show pages in a window of this size in CSS pixels."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=is_phone)  # fmt: skip

    def open(self, url):
        """Open a page, and wait until it and what it has are loaded."""
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=url)
        self.until("document.readyState == 'complete' && location.href != 'about:blank'")

    def evaluate(self, expression):
        """The value of an expression in JavaScript; of a promise, what it comes to."""
        found = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def until(self, expression, seconds=60):
        """Wait until an expression is true.

        Raises:
            TimeoutError: It is not.
        """
        deadline = time.monotonic() + seconds
        while not self.evaluate(expression):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{expression} is not true:\n{self.text}")
            time.sleep(0.05)

    @property
    def text(self):
        """What the page says."""
        return self.evaluate("document.body.innerText")

    def picture(self, path):
        """Write a picture of the page."""
        picture = self.call("Page.captureScreenshot")
        Path(path).write_bytes(base64.b64decode(picture["data"]))


@contextmanager
def tab(folder, headers=None):
    """A page in a Chromium of its own.

    Args:
        folder: Empty folder for Chromium's own files.
        headers: Headers of every request.
    """
    program, environment = chromium()
    profile = Path(folder) / "profile"
    process = subprocess.Popen(
        [program, *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    loop = asyncio.new_event_loop()
    try:
        found, deadline = profile / "DevToolsActivePort", time.monotonic() + 60
        while not found.exists() or not found.read_text().count("\n"):
            assert process.poll() is None, f"{program} ended with status {process.returncode}"
            assert time.monotonic() < deadline, f"{program} did not start"
            time.sleep(0.1)
        port = found.read_text().split()[0]
        session, socket = loop.run_until_complete(_connect(port))
        made = Tab(loop, socket)
        for domain in ("Network", "Runtime", "Log", "Page"):
            made.call(f"{domain}.enable")
        made.call("Network.setExtraHTTPHeaders", headers=headers or {})
        try:
            yield made
        finally:
            loop.run_until_complete(socket.close())
            loop.run_until_complete(session.close())
    finally:
        loop.close()
        process.kill()
        process.wait()


async def _connect(port):
    session = aiohttp.ClientSession()
    async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
        target = next(t for t in await answer.json() if t["type"] == "page")
    return session, await session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0)


def visit(url, folder, *, headers, expected, seconds):
    """The text of a page once it holds what is expected, or when the time is up.

    Args:
        url: The page.
        folder: Empty folder for Chromium's own files; gets ``page.png``, a picture of the page.
        headers: Headers of every request.
        expected: Text to wait for.
        seconds: How long to wait.
    """
    with tab(folder, headers) as page:
        page.open(url)
        with suppress(TimeoutError):
            page.until(f"document.body.innerText.includes({json.dumps(expected)})", seconds)
        page.picture(Path(folder) / "page.png")
        return page.text
