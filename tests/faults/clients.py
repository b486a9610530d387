"""Play clients of the gateway: commands, queries, repeated tries of keys, and open streams."""

from __future__ import annotations

import asyncio
import json
import re
import time
from bisect import bisect_left
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.faults.ledger import Command, Key, Losses, Reply, Violation, judge_probe, reply_of
from tests.faults.site import Site

_COMMAND_TIMEOUT_S = 15.0
_QUERY_TIMEOUT_S = 10.0
_PROBE_EVERY_S = 0.3
_STREAM_TOPICS = ("system", "calls")

UNKEPT = "only on Redis"
"""What ``callmon key`` says of a change that no monitor has kept yet."""


@dataclass(slots=True)
class Clients:
    """Everybody who asks the gateway.

    ``violations``: what was wrong at the moment when it was seen.
    """

    site: Site
    session: aiohttp.ClientSession
    losses: Losses = field(default_factory=Losses)
    keys: dict[str, Key] = field(default_factory=dict)
    commands: list[Command] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    master: str = ""
    """The key that commands come with."""
    changes: list[float] = field(default_factory=list)
    """When any stream was told a change."""
    _streams: dict[str, Stream] = field(default_factory=dict)

    # keys

    async def make_key(self, name: str, scopes: str = "read") -> Key | None:
        """``callmon key new``; None if it did not come to that."""
        code, said = await self.site.callmon("key", "new", "--name", name, "--scopes", scopes)
        found = re.search(r"shown this once: (\S+)", said)
        if code != 0 or found is None:
            return None
        key = Key(name, found[1], scopes, time.monotonic(), kept=UNKEPT not in said)
        self.keys[name] = key
        return key

    async def revoke_key(self, key: Key) -> None:
        """``callmon key revoke``."""
        key.revoking = time.monotonic()
        code, said = await self.site.callmon("key", "revoke", key.name)
        if code == 0 and UNKEPT not in said:
            key.revoked = time.monotonic()

    async def probe(self) -> None:
        """Try every key, again and again, until cancelled."""
        while True:
            await asyncio.gather(*(self._probe_once(key) for key in list(self.keys.values())))
            await asyncio.sleep(_PROBE_EVERY_S)

    async def _probe_once(self, key: Key) -> None:
        asked = time.monotonic()
        with suppress(aiohttp.ClientError, TimeoutError):
            status, body = await self.get("pbx.calls.get", key.raw)
            if (found := judge_probe(key, asked, status, code_of(body), self.losses)) is not None:
                self.note(found)

    def first_change(self, moment: float) -> float:
        """When the first change from that moment on was told; infinity: not yet."""
        place = bisect_left(self.changes, moment)
        return self.changes[place] if place < len(self.changes) else float("inf")

    # queries and commands

    async def get(self, query: str, raw: str = "", **arguments: str) -> tuple[int, Any]:
        """Ask a query; status and answer."""
        timeout = aiohttp.ClientTimeout(total=_QUERY_TIMEOUT_S)
        headers = {"Authorization": f"Bearer {raw or self.keys[self.master].raw}"}
        address = f"{self.site.gateway_address}/webapi/{query}"
        async with self.session.get(
            address, params=arguments, headers=headers, timeout=timeout
        ) as answer:
            return answer.status, await _json(answer)

    async def send(self, command: Command, within: float = _COMMAND_TIMEOUT_S) -> Reply:
        """Send a command under its Idempotency-Key, for the first time or again.

        What was answered is kept.
        """
        headers = {
            "Authorization": f"Bearer {self.keys[self.master].raw}",
            "Idempotency-Key": command.mark,
        }
        address = f"{self.site.gateway_address}/webapi/{command.name}"
        timeout = aiohttp.ClientTimeout(total=within)
        try:
            async with self.session.post(
                address, data=command.arguments, headers=headers, timeout=timeout
            ) as answer:
                body = await _json(answer)
                reply = reply_of(
                    time.monotonic(), answer.status, body if isinstance(body, dict) else {}
                )
        except (aiohttp.ClientError, TimeoutError) as error:
            reply = Reply(time.monotonic(), "unknown", 0, type(error).__name__)
        command.replies.append(reply)
        return reply

    # streams

    def watch(self, key: Key) -> None:
        """Keep a stream open under this key."""
        self._streams[key.name] = stream = Stream(self, key)
        stream.task = asyncio.create_task(stream.run())

    async def close(self) -> None:
        """End all streams."""
        tasks = [stream.task for stream in self._streams.values() if stream.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def system(self) -> dict[str, Any]:
        """The system as the first stream shows it now; empty while it shows none."""
        stream = self._streams.get(self.master)
        return {} if stream is None else stream.system

    @property
    def stale(self) -> bool:
        """Whether the first stream says that it is not live."""
        stream = self._streams.get(self.master)
        return stream is None or stream.stale

    def note(self, violation: Violation) -> None:
        """Keep it, once."""
        if all(
            violation.about != other.about or _name(violation) != _name(other)
            for other in self.violations
        ):
            self.violations.append(violation)


def code_of(body: Any) -> str:
    """The error code in an answer."""
    if not isinstance(body, dict):
        return ""
    error = body.get("error")
    return str(error.get("code", "")) if isinstance(error, dict) else ""


async def _json(answer: aiohttp.ClientResponse) -> Any:
    try:
        return json.loads(await answer.read())
    except ValueError:
        return None


def _name(violation: Violation) -> str:
    return violation.text.partition(" ")[0]


@dataclass(slots=True)
class Stream:
    """A subscriber who comes back whenever he may."""

    clients: Clients
    key: Key
    system: dict[str, Any] = field(default_factory=dict)
    stale: bool = True
    task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Until cancelled, or sent away for good."""
        while True:
            with suppress(aiohttp.ClientError, TimeoutError, OSError):
                if await self._once() == 4001 and not self._sent_away():
                    return
            self.stale = True
            await asyncio.sleep(0.2)

    def _sent_away(self) -> bool:
        """Note a stream that was closed though its key holds; whether to come back."""
        if not self.key.holds:
            return False
        documented = self.clients.losses.cover(self.key.made, 1.5)
        self.clients.note(
            Violation(
                "stream", f"{self.key.name} holds, and its stream was closed with 4001", documented
            )
        )
        return True

    async def _once(self) -> int | None:
        address = f"{self.clients.site.gateway_address}/webapi/stream"
        headers = {"Authorization": f"Bearer {self.key.raw}"}
        async with self.clients.session.ws_connect(address, headers=headers) as socket:
            await socket.send_json({"type": "subscribe", "topics": _STREAM_TOPICS})
            async for message in socket:
                if message.type == aiohttp.WSMsgType.TEXT:
                    self._heard(json.loads(message.data))
            return socket.close_code

    def _heard(self, frame: dict[str, Any]) -> None:
        match frame["type"]:
            case "snapshot":
                self.stale = False
                self.system = frame["state"].get("system", {}).get("pbx", self.system)
            case "change":
                self.clients.changes.append(time.monotonic())
                self.stale = False
                self.system = frame["upsert"].get("system", {}).get("pbx", self.system)
            case "heartbeat":
                self.stale = frame.get("stale_since") is not None
            case _:
                pass
