"""Play a small PBX on a real socket that does what the test says, answer by answer.

And a source's facts to wait for.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import jwt
import pytest
from aiohttp import WSCloseCode, web

from monitor.pbx.clock import PbxClock
from monitor.pbx.facts import ConnectionChanged, Fact, ParticipantSeen
from monitor.pbx.http_client import websocket
from monitor.pbx.v20_client import PbxSettings
from monitor.pbx.v20_source import PbxSource

_KEY = "k" * 32
T = TypeVar("T")


@dataclass(slots=True)
class Held:
    """A request whose answer was made and is kept back until :meth:`release`."""

    prefix: str
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)

    def release(self) -> None:
        self.let_go.set()


class ScriptedPbx:
    """Participants by (dn, id); ``rows`` of ActiveCalls; events only when the test sends them."""

    def __init__(self) -> None:
        self.url = ""
        self.dns = {"100": "Wextension", "101": "Wextension"}
        self.participants: dict[tuple[str, int], dict[str, Any]] = {}
        self.rows: list[dict[str, Any]] = []
        self.entities: dict[str, list[dict[str, Any]]] = {}
        self.life = 3600.0
        self.tokens: set[str] = set()
        self.minted = 0
        self.revoke_at_once = False
        self.deaf = False
        """Whether sockets answer no pings."""
        self.pings = 0
        """Pings that came."""
        self.requests: Counter[str] = Counter()
        self.queries: list[tuple[str, dict[str, str]]] = []
        self.sockets: list[web.WebSocketResponse] = []
        self.opened = asyncio.Event()
        self._news = asyncio.Event()
        self._held: list[Held] = []
        self._answers: deque[tuple[str, web.Response]] = deque()
        self._for_ever: dict[str, int] = {}
        self._sequence = itertools.count()

    # what the test does

    def put(self, participant_id: int, status: str, dn: str = "100", call: int = 7) -> None:
        self.participants[dn, participant_id] = {
            "id": participant_id,
            "dn": dn,
            "status": status,
            "callid": call,
        }

    async def upsert(self, participant_id: int, status: str | None = None, dn: str = "100") -> None:
        if status is not None:
            self.put(participant_id, status, dn)
        await self.send(0, f"/callcontrol/{dn}/participants/{participant_id}")

    async def remove(self, participant_id: int, dn: str = "100") -> None:
        self.participants.pop((dn, participant_id), None)
        await self.send(1, f"/callcontrol/{dn}/participants/{participant_id}")

    async def send(self, kind: int, entity: str, data: Any = None) -> None:
        event = {"event_type": kind, "entity": entity, "attached_data": data}
        await self.send_text(json.dumps({"sequence": next(self._sequence), "event": event}))

    async def send_text(self, message: str) -> None:
        for socket in self.sockets:
            await socket.send_str(message)

    async def drop(self) -> None:
        for socket in list(self.sockets):
            await socket.close(code=WSCloseCode.GOING_AWAY)

    def hold(self, prefix: str) -> Held:
        """Keep back the answer to the next request of that path.

        It is the answer of the moment it was asked.
        """
        held = Held(prefix)
        self._held.append(held)
        return held

    def release(self) -> None:
        """Keep back nothing any more."""
        for held in self._held:
            held.release()
        self._held.clear()

    def answer(
        self, prefix: str, status: int, body: Any = None, headers: dict[str, str] | None = None
    ) -> None:
        """Answer the next request of that path with this."""
        text = body if isinstance(body, str) else json.dumps(body)
        self._answers.append((prefix, web.Response(status=status, text=text, headers=headers)))

    def refuse(self, prefix: str, status: int) -> None:
        """Answer every request of that path with this status, until :meth:`allow`."""
        self._for_ever[prefix] = status

    def allow(self, prefix: str) -> None:
        del self._for_ever[prefix]

    def revoke(self) -> None:
        self.tokens.clear()

    async def asked(self, path: str, times: int) -> None:
        """Wait until that path was asked for that many times in all."""
        async with asyncio.timeout(60):
            while self.requests[path] < times:
                self._news.clear()
                await self._news.wait()

    # what it answers

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = request.raw_path.partition("?")[0]
        self.requests[path] += 1
        self._news.set()
        if (
            path != "/connect/token"
            and request.headers.get("Authorization", "")[7:] not in self.tokens
        ):
            return web.Response(status=401)
        self.queries.append((path, dict(request.query)))
        status = next(
            (status for prefix, status in self._for_ever.items() if path.startswith(prefix)), None
        )
        if status is not None:
            made = web.Response(status=status)
        else:
            for prefix, answer in self._answers:
                if path.startswith(prefix):
                    self._answers.remove((prefix, answer))
                    return answer
            if path == "/callcontrol/ws":
                return await self._socket(request)
            made = self._made(path)
        held = next((held for held in self._held if path.startswith(held.prefix)), None)
        if held is not None:
            self._held.remove(held)
            held.asked.set()
            await held.let_go.wait()
        return made

    def _made(self, path: str) -> web.Response:
        match path.strip("/").split("/"):
            case ["connect", "token"]:
                return web.json_response(self._mint())
            case ["callcontrol"]:
                return web.json_response([self._dn(dn) for dn in self.dns])
            case ["callcontrol", dn, "participants", number]:
                found = self.participants.get((dn, int(number)))
                return web.json_response(found) if found else web.Response(status=404)
            case ["xapi", "v1", "ActiveCalls"]:
                return web.json_response({"@odata.count": len(self.rows), "value": self.rows})
            case ["xapi", "v1", "SystemStatus"]:
                return web.json_response({"Version": "20.0.10.1"})
            case ["xapi", "v1", name]:
                rows = self.entities.get(name, [])
                return web.json_response({"@odata.count": len(rows), "value": rows})
            case _:
                return web.Response(status=404)

    def _dn(self, dn: str) -> dict[str, Any]:
        of_dn = [row for (owner, _), row in self.participants.items() if owner == dn]
        return {"dn": dn, "type": self.dns[dn], "devices": [], "participants": of_dn}

    def _mint(self) -> dict[str, Any]:
        self.minted += 1
        now = time.time()
        token = jwt.encode(
            {"iat": now, "exp": now + self.life, "jti": str(self.minted), "role": ["Users"]}, _KEY
        )
        self.tokens = set() if self.revoke_at_once else {token}
        return {
            "token_type": "Bearer",
            "expires_in": 60,
            "access_token": token,
            "refresh_token": None,
        }

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        self.sockets.append(socket)
        self.opened.set()
        try:
            async for message in socket:
                if message.type is web.WSMsgType.PING:
                    self.pings += 1
                    if not self.deaf:
                        await socket.pong(message.data)
        finally:
            self.sockets.remove(socket)
        return socket


@asynccontextmanager
async def scripted_pbx() -> AsyncIterator[ScriptedPbx]:
    """It listens until the block ends."""
    pbx = ScriptedPbx()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", pbx.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    pbx.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield pbx
    finally:
        for held in pbx._held:
            held.release()
        await pbx.drop()
        await runner.cleanup()


class Facts:
    """What a source told, in order, and waiting for it."""

    def __init__(self) -> None:
        self.all: list[Fact] = []
        self._news = asyncio.Event()

    def emit(self, fact: Fact) -> None:
        self.all.append(fact)
        self._news.set()

    def of(self, kind: type[T]) -> list[T]:
        return [fact for fact in self.all if isinstance(fact, kind)]

    async def until(
        self, kind: type[T], is_it: Callable[[T], bool] = lambda _: True, after: int = 0
    ) -> T:
        """The first such fact, told already (from number ``after`` on) or told within a minute."""
        async with asyncio.timeout(60):
            while True:
                found = next(
                    (f for f in self.all[after:] if isinstance(f, kind) and is_it(f)), None
                )
                if found is not None:
                    return found
                self._news.clear()
                await self._news.wait()

    async def connected(self, after: int = 0) -> ConnectionChanged:
        return await self.until(
            ConnectionChanged, lambda fact: fact.connection == "connected", after
        )

    async def seen(self, status: str, after: int = 0) -> ParticipantSeen:
        return await self.until(
            ParticipantSeen, lambda fact: fact.participant.status == status, after
        )


def settings_for(url: str, **changes: Any) -> PbxSettings:
    return replace(
        PbxSettings(url, "callmon", "secret", request_timeout=5.0, poll_interval=0.2), **changes
    )


def noted_messages(monkeypatch: pytest.MonkeyPatch) -> list[str | bytes]:
    """Return the messages that are taken from sockets at their pace, from now on."""
    taken, take = list[str | bytes](), websocket.PacedMessages.next

    async def noting(messages: websocket.PacedMessages) -> str | bytes:
        message = await take(messages)
        taken.append(message)
        return message

    monkeypatch.setattr(websocket.PacedMessages, "next", noting)
    return taken


@asynccontextmanager
async def following(
    settings: PbxSettings,
    may_mint: Callable[[], bool] = lambda: True,
    clock: PbxClock | None = None,
) -> AsyncIterator[tuple[PbxSource, Facts]]:
    """A source that runs until the block ends."""
    facts = Facts()
    source = PbxSource(settings, facts.emit, may_mint, clock)
    running = asyncio.create_task(source.run())
    try:
        yield source, facts
    finally:
        assert not running.done(), running
        running.cancel()
        await asyncio.wait([running])
        await source.close()
