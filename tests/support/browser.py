"""Headless Chromium: what a page shows after its scripts have run, and a picture of it."""

import asyncio
import base64
import json
import shutil
import subprocess
import time
from pathlib import Path

import aiohttp

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--remote-debugging-port=0", "--window-size=1400,900",
)  # fmt: skip


def visit(url, folder, *, headers, expected, seconds):
    """The text of a page once it holds what is expected, or when the time is up.

    Args:
        url: The page.
        folder: Empty folder for Chromium's own files; gets ``page.png``, a picture of the page.
        headers: Headers of every request.
        expected: Text to wait for.
        seconds: How long to wait.
    """
    profile = Path(folder) / "profile"
    browser = subprocess.Popen(
        [CHROMIUM, *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + seconds
        found = profile / "DevToolsActivePort"
        while not found.exists() or not found.read_text().count("\n"):
            assert time.monotonic() < deadline, "Chromium did not start"
            time.sleep(0.1)
        port = found.read_text().split()[0]
        return asyncio.run(_visit(port, url, Path(folder), headers, expected, deadline))
    finally:
        browser.kill()
        browser.wait()


async def _visit(port, url, folder, headers, expected, deadline):
    async with aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
            tab = next(t for t in await answer.json() if t["type"] == "page")
        async with session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as socket:
            number = 0

            async def call(method, **parameters):
                nonlocal number
                number += 1
                await socket.send_json({"id": number, "method": method, "params": parameters})
                while True:
                    message = json.loads((await socket.receive()).data)
                    if message.get("id") == number:
                        return message["result"]

            await call("Network.enable")
            await call("Network.setExtraHTTPHeaders", headers=headers)
            await call("Page.navigate", url=url)
            text = ""
            while expected not in text and time.monotonic() < deadline:
                await asyncio.sleep(0.5)
                found = await call("Runtime.evaluate", expression="document.body.innerText")
                text = found["result"].get("value", "")
            picture = await call("Page.captureScreenshot")
            (folder / "page.png").write_bytes(base64.b64decode(picture["data"]))
            return text
