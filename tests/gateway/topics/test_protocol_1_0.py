"""Test that a client of version 1.0 gets the bytes that it always got.

``protocol_1_0.json`` holds the messages that came in a conversation with a gateway of version 1.0.
In place of an entity it has the entity's name, as entities may get new fields. The conversation is
held again by each transport. Only ``hello`` may say more.
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.transport.compression import compress
from monitor.shared.codec import from_json, from_msgpack, to_json, to_msgpack
from monitor.shared.entities.topics import Entity
from tests.gateway.entities import call, extension, queue, system
from tests.gateway.serving import Served, events, serving
from tests.gateway.sockets import HANDSHAKE, on_both_loops

RECORDED: Final = Path(__file__).parent / "protocol_1_0.json"
NOON: Final = 1_772_625_600.0

ENTITIES: Final[dict[str, Entity]] = {
    "first call": call(1, ("101", "102"), ("800",)),
    "second call": call(2, ("102",), ("801",)),
    "second call, routing": call(2, ("102",), ("801",), state="Routing"),
    "phone 101": extension("101", ("800",)),
    "phone 101, busy": extension("101", ("800",), activity="Talking"),
    "phone 102": extension("102", ("800", "801")),
    "queue": queue("800", ("101", "102"), ("101",)),
    "system": system("connected"),
}
FIRST: Final[dict[str, str | None]] = {
    "calls/1": "first call",
    "extensions/101": "phone 101",
    "extensions/102": "phone 102",
    "queues/800": "queue",
    "system/pbx": "system",
}
SAID: Final[list[dict[str, Any]]] = [
    {"type": "subscribe", "topics": ["calls", "extensions", "queues", "system"]},
    {"put": {"calls/2": "second call"}},
    {"put": {"calls/1": None, "extensions/101": "phone 101, busy"}},
    {"beat": 1},
    {"type": "ping", "at": 7},
    {"type": "subscribe", "topics": ["calls", "queues"], "filter": {"ext": ["102"]}},
    {"put": {"calls/2": "second call, routing"}},
    {"type": "subscribe", "topics": ["calls"], "since": {"epoch": f"{1:015d}-t", "seq": 4}},
    {"type": "subscribe", "topics": []},
    {"type": "subscribe", "topics": ["calls"], "colour": "red"},
    {"type": "subscribe", "query": "pbx.callsinfo.get"},
    {"put": {"calls/2": "second call"}},
    {"type": "subscribe", "topics": ["contacts"], "merge": False},
    {"beat": 1},
]
"""What happens: the client speaks, entities are put, or heartbeats are due. Each has an answer."""


def put(served: Served, named: dict[str, str | None]) -> None:
    places = ((place.split("/"), what) for place, what in named.items())
    served.put_all(
        (topic, id_, None if what is None else ENTITIES[what]) for (topic, id_), what in places
    )


def beat(served: Served) -> None:
    for hub in (served.view.hub, served.view.book_hub):
        for slot in hub._slots:
            hub._send_heartbeats(slot)


async def frame_on(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The next frame's first byte and its payload, as RFC 6455 has them."""
    async with asyncio.timeout(60):
        first, size = await reader.readexactly(2)
        if size >= 126:
            size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8))
        return first, await reader.readexactly(size)


def masked(opcode: int, payload: bytes) -> bytes:
    size = struct.pack("!BBH", 0x80 | opcode, 0xFE, len(payload))
    return size + b"\0\0\0\0" + payload


async def conversation(encoding: str, *, compressed: bool) -> list[tuple[int, bytes]]:
    """Each frame that came: one for ``hello``, and one for each line of SAID."""
    async with serving(heartbeat=3600.0, clock=lambda: NOON) as served:
        put(served, FIRST)
        served.view.watches._clock = lambda: NOON
        host, port = served.host.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        more = f"Sec-WebSocket-Protocol: callmon.v1.{encoding}\r\n"
        if compressed:
            more += "Sec-WebSocket-Extensions: permessage-deflate\r\n"
        writer.write(f"GET /webapi/reader-key/stream HTTP/1.1\r\n{HANDSHAKE}{more}\r\n".encode())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        came = [await frame_on(reader)]
        for step in SAID:
            if "put" in step:
                put(served, step["put"])
            elif "beat" in step:
                beat(served)
            else:
                data = to_json(step) if encoding == "json" else to_msgpack(step)
                writer.write(masked(1 if encoding == "json" else 2, data))
            came.append(await frame_on(reader))
        writer.close()
        return came


def recorded(encoding: str) -> list[bytes]:
    """The messages of version 1.0, with the entities as they are today."""
    found: list[str] = json.loads(RECORDED.read_text())[encoding]
    return [filled(one, encoding) for one in found]


def filled(message: str, encoding: str) -> bytes:
    for name, entity in ENTITIES.items():
        written = to_json(entity).decode() if encoding == "json" else to_msgpack(entity).hex()
        message = message.replace(f"<{name}>", written)
    return message.encode() if encoding == "json" else bytes.fromhex(message)


def without_topics(hello: Mapping[str, Any]) -> dict[str, Any]:
    """All of ``hello`` but the topics, as there may be more of them today."""
    return {name: value for name, value in hello.items() if name != "topics"}


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("encoding", ["json", "msgpack"])
async def test_each_frame_has_the_bytes_of_version_1_0(encoding: str, compressed: bool) -> None:
    came = await conversation(encoding, compressed=compressed)
    old = recorded(encoding)
    opcode = 0x81 if encoding == "json" else 0x82
    for (bits, payload), expected in zip(came[1:], old[1:], strict=True):
        packed = compress(expected) if compressed else None
        assert (bits, payload) == (
            (opcode, expected) if packed is None else (opcode | 0x40, packed)
        )


@pytest.mark.parametrize(("encoding", "read"), [("json", from_json), ("msgpack", from_msgpack)])
async def test_hello_has_all_of_version_1_0_and_then_the_version(
    encoding: str, read: Callable[[bytes], Any]
) -> None:
    hello, *_ = await conversation(encoding, compressed=False)
    now, old = read(hello[1]), read(recorded(encoding)[0])
    assert list(now) == [*old, "version"]
    assert without_topics(now) == without_topics(old) | {"version": "1.1"}
    assert set(now["topics"]) >= set(old["topics"])


@on_both_loops
async def test_server_sent_events_have_the_bytes_of_version_1_0() -> None:
    async with serving(heartbeat=3600.0, clock=lambda: NOON) as served:
        put(served, FIRST)
        async with events(served, "topics=calls,extensions,queues,system") as stream:
            lines = [await line_of(stream) for _ in range(2)]
            put(served, {"calls/2": "second call"})
            lines.append(await line_of(stream))
    assert lines[1:] == [one.decode() for one in recorded("json")[1:3]]


async def line_of(stream: Any) -> str:
    """The data of the next event."""
    async with asyncio.timeout(60):
        while not (line := await anext(stream._lines)).startswith("data: "):
            pass
    return str(line.removeprefix("data: "))
