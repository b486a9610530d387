"""Drive a headless Chromium by its DevTools protocol: do and see what a person would.

Debian's package is enough, nothing is downloaded. CALLMON_TEST_CHROMIUM names another binary.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from monitor.shared import tasks

WITHIN = 90.0
"""Seconds in which a page must come to show something: generous, as the machines are shared."""
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    *(
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-sync",
    ),
    *(
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-dev-shm-usage",
        "--mute-audio",
    ),
    *("--disable-background-timer-throttling", "--disable-renderer-backgrounding"),
    *("--disable-backgrounding-occluded-windows", "--remote-debugging-port=0"),
)
_KEYS = {
    "Enter": 13,
    "Escape": 27,
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
}


def binary() -> str | None:
    """The browser to use; None if there is none."""
    given = os.environ.get("CALLMON_TEST_CHROMIUM")
    return given or next((found for name in _NAMES if (found := shutil.which(name))), None)


@contextmanager
def running(program: str) -> Iterator[Path]:
    """A browser; gives the directory where it says how to reach it."""
    with tempfile.TemporaryDirectory(
        prefix="callmon-chromium-", ignore_cleanup_errors=True
    ) as profile:
        command = [program, *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            yield Path(profile)
        finally:
            os.killpg(process.pid, 9)
            process.wait()


@asynccontextmanager
async def opened(profile: Path, width: int = 1280, height: int = 900) -> AsyncIterator[Page]:
    """A page of its own in that browser: nothing is remembered from another one."""
    port = profile / "DevToolsActivePort"
    async with asyncio.timeout(WITHIN):
        while not port.exists() or len(port.read_text().split()) < 2:  # noqa: ASYNC110 - it is another process's
            await asyncio.sleep(0.05)
    number, path = port.read_text().split()
    async with connect(
        f"ws://127.0.0.1:{number}{path}", max_size=None, compression=None, proxy=None
    ) as socket:
        page = Page(socket)
        async with tasks.running(page.listen()):
            await page.open(width, height)
            yield page
            await page.close()


class Page:
    """Drive one page. ``complaints``: errors on its console, and exceptions that nobody caught."""

    def __init__(self, socket: ClientConnection) -> None:
        self.complaints: list[str] = []
        self.requested: list[str] = []
        """The addresses that it asked for."""
        self._socket = socket
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._session: str | None = None
        self._context = ""

    async def open(self, width: int, height: int) -> None:
        """Open it, empty."""
        self._context = (await self._command("Target.createBrowserContext"))["browserContextId"]
        target = await self._command(
            "Target.createTarget", url="about:blank", browserContextId=self._context
        )
        attached = await self._command(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self._command(f"{domain}.enable")
        await self.resize(width, height)

    async def close(self) -> None:
        """Close it, with all that it remembers."""
        self._session = None
        await self._command("Target.disposeBrowserContext", browserContextId=self._context)

    async def resize(self, width: int, height: int) -> None:
        """Look at it on a screen of that size."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        await self._command("Emulation.setDeviceMetricsOverride", **metrics)

    async def touch(self) -> None:
        """Touch it with a finger, from the next page on."""
        await self._command("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=1)

    async def trust_anybody(self) -> None:
        """Take any certificate from here on."""
        await self._command("Security.setIgnoreCertificateErrors", ignore=True)

    async def move(self, zone: str) -> None:
        """Put the machine into a time zone."""
        await self._command("Emulation.setTimezoneOverride", timezoneId=zone)

    async def go(self, address: str) -> None:
        """Go to an address."""
        await self._command("Page.navigate", url=address)

    async def before(self, script: str) -> None:
        """Run this in each page that is loaded from here on, before its own scripts."""
        await self._command("Page.addScriptToEvaluateOnNewDocument", source=script)

    async def not_installable(self) -> list[str]:
        """Say why the browser would not install the page as an app."""
        manifest = await self._command("Page.getAppManifest")
        found = await self._command("Page.getInstallabilityErrors")
        reasons = [one["errorId"] for one in found["installabilityErrors"]]
        return [str(one) for one in (*manifest["errors"], *reasons)]

    async def run(self, script: str) -> Any:
        """What the expression gives in the page.

        Raises AssertionError with the exception that it throws.
        """
        answer = await self._command(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def text(self, selector: str = "body") -> str:
        """What is to be read there."""
        return str(
            await self.run(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")
        )

    async def count(self, selector: str) -> int:
        """How many there are of it."""
        return int(await self.run(f"document.querySelectorAll({json.dumps(selector)}).length"))

    async def until(self, script: str, within: float = WITHIN) -> Any:
        """Look until it is true; what it gives, true for an element.

        Raises AssertionError with the page's text.
        """
        looked = f"((found) => found instanceof Node || found || null)({script})"
        try:
            async with asyncio.timeout(within):
                while (found := await self.run(looked)) is None:  # noqa: ASYNC110 - it is another process's
                    await asyncio.sleep(0.05)
                return found
        except TimeoutError:
            raise AssertionError(
                f"never came true: {script}\n{await self.text()}\n{self.complaints}"
            ) from None

    async def becomes(self, value: object, script: str, within: float = WITHIN) -> None:
        """Look until the expression gives that. Raises AssertionError with what it gave last."""
        found = await self.run(script)
        try:
            async with asyncio.timeout(within):
                while found != value:
                    await asyncio.sleep(0.05)
                    found = await self.run(script)
        except TimeoutError:
            raise AssertionError(f"{found!r} and not {value!r}: {script}") from None

    async def shows(self, text: str, selector: str = "body", within: float = WITHIN) -> None:
        """Wait until that is to be read there."""
        held = f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"
        await self.until(f"({held}).includes({json.dumps(text)})", within)

    async def lacks(self, text: str, selector: str = "body", within: float = WITHIN) -> None:
        """Wait until that is not to be read there any more."""
        held = f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"
        await self.until(f"!({held}).includes({json.dumps(text)})", within)

    async def press(self, key: str) -> None:
        """Press a key and let it go."""
        printed = {"text": "\r"} if key == "Enter" else {"text": key} if len(key) == 1 else {}
        code = {"windowsVirtualKeyCode": _KEYS.get(key, ord(key[0].upper()))}
        await self._command("Input.dispatchKeyEvent", type="keyDown", key=key, **printed, **code)
        await self._command("Input.dispatchKeyEvent", type="keyUp", key=key, **code)

    async def write(self, text: str) -> None:
        """Type a text where the cursor is."""
        await self._command("Input.insertText", text=text)

    async def picture(self, path: Path) -> None:
        """Keep a picture of it, for people to look at."""
        shot = await self._command("Page.captureScreenshot", format="png")
        await asyncio.to_thread(path.write_bytes, base64.b64decode(shot["data"]))

    async def listen(self) -> None:
        """Take in what the browser says, until cancelled."""
        async for text in self._socket:
            message = json.loads(text)
            waiting = self._waiting.pop(message.get("id", 0), None)
            if waiting is not None and not waiting.done():
                waiting.set_result(message)
            elif waiting is None:
                self._heed(message)

    def _heed(self, message: dict[str, Any]) -> None:
        given = message.get("params", {})
        match message.get("method"):
            case "Runtime.exceptionThrown":
                self.complaints.append(
                    str(given["exceptionDetails"].get("exception", given["exceptionDetails"]))
                )
            case "Log.entryAdded" if given["entry"]["level"] == "error":
                self.complaints.append(f"{given['entry']['text']} {given['entry'].get('url', '')}")
            case "Runtime.consoleAPICalled" if given["type"] == "error":
                self.complaints.append(
                    str([one.get("value", one.get("description")) for one in given["args"]])
                )
            case "Network.requestWillBeSent":
                self.requested.append(given["request"]["url"])
            case "Network.webSocketCreated":
                self.requested.append(given["url"])

    async def _command(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        session = {} if self._session is None else {"sessionId": self._session}
        await self._socket.send(
            json.dumps({"id": number, "method": method, "params": params, **session})
        )
        async with asyncio.timeout(WITHIN):
            message = await answer
        assert "error" not in message, (method, message["error"])
        result: dict[str, Any] = message["result"]
        return result
