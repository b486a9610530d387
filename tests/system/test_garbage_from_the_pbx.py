"""Test that a PBX's nonsense does not end the monitor, and that the truth returns after it."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.cli.record import Following
from monitor.shared.codec import Malformed, from_json, to_json
from monitor.shared.tasks import running
from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from tests.bus import until
from tests.system.compare import NOT_ALWAYS_TOLD, Known, differences, knowable
from tests.system.test_recording import held, settings

SECONDS = 8.0
_TOKEN = "/connect/token"
_ODD: tuple[Any, ...] = (
    None, True, -1, 0, 2**63, 1e308, "", "\x00", "ÿ" * 5_000, "2026-13-45T99:99:99Z", "NaN",
    [], {}, [[]], [None], {"value": None}, {"Number": 5}, "101", 101,
)  # fmt: skip


class Mangling:
    """Some of what the app says comes out as something else, as long as it is ``on``."""

    def __init__(self, app: ASGIApp, seed: int) -> None:
        self.on = False
        self.mangled = 0
        self._app = app
        self._dice = random.Random(seed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on (ASGI).

        Answers that give tokens are mangled too, but seldom: else nothing else is ever asked.
        """
        often = 0.05 if scope.get("path") == _TOKEN else 0.4
        start: Message | None = None
        body = b""

        async def mangled(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                start = message
            elif message["type"] == "http.response.body" and start is not None:
                body += message.get("body", b"")
                if not message.get("more_body"):
                    status, content = self._answer(start["status"], body, often)
                    headers = [
                        each for each in start["headers"] if each[0].lower() != b"content-length"
                    ]
                    headers.append((b"content-length", b"%d" % len(content)))
                    await send({**start, "status": status, "headers": headers})
                    await send({"type": "http.response.body", "body": content})
            elif message["type"] == "websocket.send" and self.on and self._dice.random() < often:
                self.mangled += 1
                text = (message.get("text") or "").encode()
                content = self._other(text)
                as_text = {"text": content.decode("utf-8", "replace")}
                await send(
                    {
                        "type": "websocket.send",
                        **(as_text if self._dice.random() < 0.8 else {"bytes": content}),
                    }
                )
            else:
                await send(message)

        await self._app(scope, receive, mangled)

    def _answer(self, status: int, body: bytes, often: float) -> tuple[int, bytes]:
        if not self.on or self._dice.random() >= often:
            return status, body
        self.mangled += 1
        other = self._dice.choice((status, status, status, 200, 204, 206, 302, 400, 404, 418, 500))
        return other, b"" if other == 204 else self._other(body)

    def _other(self, content: bytes) -> bytes:
        match self._dice.randrange(6):
            case 0:
                return content[: self._dice.randrange(len(content) + 1)]
            case 1:
                return self._dice.randbytes(self._dice.randrange(200))
            case 2:
                return b"[" * 2_000
        try:
            return to_json(self._value(from_json(content)))
        except Malformed:
            return b"\xff" + content

    def _value(self, value: Any) -> Any:
        """The same with one in ten of its parts another."""
        if self._dice.random() < 0.1:
            return self._dice.choice(_ODD)
        if isinstance(value, dict):
            return {
                key: self._value(item) for key, item in value.items() if self._dice.random() > 0.03
            }
        if isinstance(value, list):
            return [
                self._value(item)
                for item in value
                for _ in range(self._dice.choice((0, 1, 1, 1, 1, 2)))
            ]
        return value


class NonsensePbx(SimulatedPbx):
    """A simulated PBX behind that."""

    def __init__(self, seed: int) -> None:
        super().__init__(
            SimulatorSettings(
                extensions=40, queues=2, rate=600, speed=5, seed=seed, without=NOT_ALWAYS_TOLD
            )
        )
        self._app = self.mangling = Mangling(self._app, seed)


@pytest.mark.parametrize(
    "seed", [1, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(2, 6))]
)
async def test_nonsense_ends_nothing_and_the_truth_is_held_after(seed: int) -> None:
    async with NonsensePbx(seed) as pbx:
        pace = {
            "poll_interval": 0.1,
            "poll_idle": 0.2,
            "watchdog_interval": 1.0,
            "directory_interval": 0.5,
        }
        pace["recheck_interval"] = 2.0  # of what was refused
        following = Following(settings(pbx, pace))
        async with running(following.run()) as (work,):
            await until(lambda: following.tracker.ready, 30)
            pbx.mangling.on = True
            end = asyncio.get_running_loop().time() + SECONDS
            while asyncio.get_running_loop().time() < end:
                await asyncio.sleep(0.1)
                assert not work.done(), work.exception()
                held(following.tracker.state)  # whatever it took in can be written
            assert pbx.mangling.mangled > 20
            pbx.mangling.on = False
            pbx.traffic.pause()
            await pbx.traffic.quiet()
            known = Known.of(pbx, tolerance=60.0)

            def wrong() -> list[str]:
                found = knowable(differences(pbx, held(following.tracker.state), known))
                return [told for told in found if not _first_told_as_nonsense(told)]

            try:
                await until(lambda: not wrong(), 60)
            except TimeoutError:
                raise AssertionError("\n".join(wrong()[:20])) from None
            assert not work.done()


def _first_told_as_nonsense(difference: str) -> bool:
    """Whether a leg has nonsense for a number: a call's caller is kept as it was first told.

    A dash is no digit of a number, so -1 is shown as 1.
    """
    shown = difference.partition(", should be ")[0]
    return " leg " in shown and any(
        f"', {number!r}, '" in shown for odd in _ODD for number in (str(odd), str(odd).lstrip("-"))
    )
