"""Hold a conversation with a real gateway: do what happened there, and hear what it sends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, Final
from unittest import mock

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidStatus

from gateway.fanout import frames
from gateway.stream.admission import LiveSettings
from monitor.shared.entities.topics import Entity
from monitor.shared.timestamps import moment
from tests.conversations.conversation import Conversation, Step
from tests.gateway import entities
from tests.gateway.entities import START
from tests.gateway.serving import Served, closed, frame, say, serving

_MADE: Final[dict[str, Callable[..., Entity]]] = {
    "calls": lambda id_, *values: entities.call(int(id_), *values),
    "groups": entities.group,
    "ivrs": entities.ivr,
    "lines": entities.line,
    "extensions": entities.extension,
    "queues": entities.queue,
}
_QUIET_S = 60.0
"""Seconds between heartbeats if a conversation wants none."""


async def held(conversation: Conversation) -> list[Step]:
    """The server's steps as a real gateway takes them: the same, with the frames that it sends."""
    setup = conversation.gateway or {}
    async with AsyncExitStack() as stack:
        if "part_bytes" in setup:
            patched = mock.patch.object(frames, "PART_BYTES", setup["part_bytes"])
            stack.enter_context(patched)
        visit = _Visit(setup, stack)
        async with asyncio.timeout(90):
            await visit.begin()
            return [await visit.step(step) for step in conversation.server]


class _Visit:
    """One client's connections, one after the other."""

    def __init__(self, setup: dict[str, Any], stack: AsyncExitStack) -> None:
        self._setup = setup
        self._key = setup.get("key", "reader-key")
        self._stack = stack
        self._found: Served | None = None
        self._connection: ClientConnection | None = None

    async def begin(self) -> None:
        """Start a gateway, to which the client comes from now on."""
        self._found = await self._stack.enter_async_context(
            serving(
                LiveSettings(**self._setup.get("limits", {})),
                self._setup.get("heartbeat", _QUIET_S),
                clock=lambda: moment(START).timestamp(),
            )
        )

    @property
    def _served(self) -> Served:
        assert self._found is not None
        return self._found

    @property
    def _open(self) -> ClientConnection:
        assert self._connection is not None
        return self._connection

    async def step(self, step: Step) -> Step:
        ((kind, value),) = step.items()
        match kind:
            case "gateway":
                await self._happen(**value)
            case "accept":
                compressed = bool(value.get("compressed"))
                connecting = self._served.connect(self._key, compressed=compressed)
                self._connection = await self._stack.enter_async_context(connecting)
            case "refuse":
                return {"refuse": await self._refused()}
            case "send":
                return {"send": await self._sent(value["type"])}
            case "expect":
                await say(self._open, value)
            case "close":
                code, reason = await closed(self._open)
                return {"close": {"code": code, "reason": reason}}
            case "break":
                self._open.transport.abort()
            case _:
                raise AssertionError(f"no gateway does this: {step}")
        return step

    async def _sent(self, kind: str) -> dict[str, Any]:
        """The next frame; of the heartbeats, which come at their own time, the one expected."""
        while True:
            found = await frame(self._open)
            if found["type"] != "heartbeat":
                return found
            if kind == "heartbeat" and found["seq"] >= self._served.position.seq:
                return found

    async def _refused(self) -> dict[str, Any]:
        try:
            async with self._served.connect(self._key):
                raise AssertionError("it was let in")
        except InvalidStatus as refused:
            response = refused.response
        said = {
            name: response.headers[name] for name in ("Retry-After",) if name in response.headers
        }
        error = json.loads(response.body or b"")["error"]
        return {"status": response.status_code, "headers": said, "error": error}

    async def _happen(
        self,
        changes: list[dict[str, dict[str, list[Any] | None]]] | None = None,
        *,
        drain: tuple[float, float] | None = None,
        others: int = 0,
        **more: Any,
    ) -> None:
        """Let this happen there. ``changes``: all at once, so that they may be merged."""
        if more.get("another"):
            await self.begin()
        served = self._served
        for change in changes or ():
            served.put_all(
                (topic, id_, None if values is None else _made(topic, id_, values))
                for topic, ids in change.items()
                for id_, values in ids.items()
            )
        if more.get("epoch"):
            served.start_epoch()
        if "silent" in more:
            live, since = served.view.live, more["silent"]
            live.heard(START) if since is None else live.silent(since)
            served.view.hub.changed()
        if "revoke" in more:
            served.live.revoke(more["revoke"])
        if drain is not None:
            await served.live.drain(0, drain)
            served.live._admission.draining = False
        for _ in range(others):
            await self._stack.enter_async_context(served.connect(self._key))


def _made(topic: str, id_: str, values: list[Any]) -> Entity:
    given = [tuple(value) if isinstance(value, list) else value for value in values]
    return _MADE[topic](id_, *given)


def differences(recorded: Step, real: Step) -> list[str]:
    """Where a gateway's step is another one than recorded. Fields may have been added since."""
    ((kind, wanted),) = recorded.items()
    found = real[kind]
    if not isinstance(wanted, Mapping):
        return [] if found == wanted else [f"{found}, not {wanted}"]
    faults = []
    for name, value in wanted.items():
        same = (
            _same_entities(value, found[name])
            if kind == "send" and name in ("state", "upsert")
            else set(value) <= set(found[name])
            if name == "topics"  # in `hello`
            else found.get(name) == value
        )
        if not same:
            faults.append(f"{name} is {found.get(name)}, not {value}")
    return faults


def _same_entities(wanted: Any, found: Any) -> bool:
    return wanted.keys() == found.keys() and all(
        wanted[topic].keys() == found[topic].keys()
        and all(wanted[topic][id_].items() <= found[topic][id_].items() for id_ in wanted[topic])
        for topic in wanted
    )
