"""Run ``callmon tail`` and ``callmon snapshot``: show the stream to people and pipes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from gateway.cli.terminal_output import say, say_text
from gateway.cli.wall_words import (
    WORDS,
    direction,
    doing,
    doing_words,
    leg_word,
    outcome,
    progress,
    translated,
)
from gateway.stream_client import Connection, StreamClient, Update, stream_url, tls_context
from monitor.shared.entities.topics import FLEET_TOPICS, TOPICS
from monitor.shared.errors import CallmonError, ConfigError
from monitor.shared.timestamps import moment

_WAY_WIDTH: Final = max(len(WORDS[way]) for way in ("inbound", "outbound", "internal"))
_HELD_S: Final = 2.0
"""Seconds for which the row of a call that lost all legs but one is held back."""


@dataclass(frozen=True, slots=True)
class GatewayAddress:
    """Hold a gateway's address and key from the command line.

    ``insecure``: do not check its certificate. ``pbx``: the PBX to watch, for a key for several.
    """

    url: str
    key: str
    ca_file: Path | None = None
    insecure: bool = False
    pbx: str = ""

    @property
    def where(self) -> str:
        """Return scheme, host and port, for messages: an address may bring a key or a password."""
        parts = urlsplit(self.url.strip())
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    def client(
        self, topics: Sequence[str], on_connection: Callable[[Connection], None] | None = None
    ) -> StreamClient:
        """Return a client of the gateway's stream. Raises StreamMisconfigured."""
        url = stream_url(self.url)
        context = (
            tls_context(self.ca_file, insecure=self.insecure) if url.startswith("wss:") else None
        )
        return StreamClient(
            *(url, self.key, topics), ssl=context, on_connection=on_connection, pbx=self.pbx
        )


class Reporter:
    """Print on standard error why there is no connection.

    Each reason is printed once, and also that the connection works again.
    """

    def __init__(self) -> None:
        self._said = ""

    def __call__(self, connection: Connection) -> None:
        """Print the state of the connection if that is news."""
        if connection.status == "live" and self._said:
            say("callmon: The gateway is reached.", error=True)
            self._said = ""
        elif connection.status in ("connecting", "waiting") and connection.reason not in (
            "",
            self._said,
        ):
            say(f"callmon: {connection.reason} Trying again.", error=True)
            self._said = connection.reason


async def tail(gateway: GatewayAddress, topics: str, as_json: bool) -> None:
    """Print changes until cancelled. Raises StreamClientError, ConfigError."""
    lines = _json_lines if as_json else _Lines()
    async with gateway.client(_topics(topics), Reporter()) as client:
        async for update in client:
            for line in lines(update):
                say(line)


async def snapshot(gateway: GatewayAddress, topics: str, timeout_s: float) -> None:
    """Print the state once.

    Raises StreamClientError or ConfigError, and CallmonError if no state comes within ``timeout_s``
    seconds.
    """
    async with gateway.client(_topics(topics), Reporter()) as client:
        try:
            async with asyncio.timeout(timeout_s):
                update = await anext(aiter(client))  # the stream begins with the snapshot
        except TimeoutError:
            raise CallmonError(
                f"No state came from {gateway.where} within {timeout_s:g} s."
            ) from None
    state = {"epoch": update.position.epoch, "seq": update.position.seq, "state": update.state}
    say_text(json.dumps(state, ensure_ascii=False, indent=2))


def _topics(text: str) -> tuple[str, ...]:
    topics = tuple(part.strip() for part in text.split(",") if part.strip()) or tuple(TOPICS)
    known = (*TOPICS, *FLEET_TOPICS)
    unknown = [topic for topic in topics if topic not in known]
    if unknown:
        raise ConfigError(f"{', '.join(unknown)}: not a topic; the topics are {', '.join(known)}")
    return topics


def _json_lines(update: Update) -> Iterable[str]:
    if update.kind == "heartbeat":
        return
    body: dict[str, Any] = {
        "type": update.kind,
        "epoch": update.position.epoch,
        "seq": update.position.seq,
    }
    body |= {"server_time": update.server_time}
    body |= (
        {"state": update.state}
        if update.kind == "snapshot"
        else {"upsert": update.upsert, "remove": update.remove}
    )
    yield json.dumps(body, ensure_ascii=False, separators=(",", ":"))


class _Lines:
    """Write changes as lines for people.

    A call whose parties leave tells of one leg for a moment before it ends. Such a row is held back
    for :data:`_HELD_S` seconds, and is not shown if the call has ended or changed by then.
    """

    def __init__(self) -> None:
        self._together: set[str] = set()
        """Calls that have had several legs."""
        self._held: dict[str, tuple[float, str]] = {}
        """Call → time of the row that is held back, in POSIX seconds, and the row."""

    def __call__(self, update: Update) -> Iterator[str]:
        """Yield the lines for an update."""
        at = update.server_time[11:23]
        if update.kind == "snapshot":
            self._held.clear()
            calls = update.state.get("calls", {})
            self._together = {id_ for id_, call in calls.items() if len(call["AConnList"]) > 1}
            counts = ", ".join(f"{len(table)} {topic}" for topic, table in update.state.items())
            told = translated(
                "snapshot at {position}: {counts}", position=update.position, counts=counts
            )
            yield f"{at}  {told}"
            return
        self._forget(update)
        yield from self._due(moment(update.server_time).timestamp())
        if update.kind == "heartbeat":
            if update.stale_since is not None:
                told = translated(
                    "nothing heard from the monitor since {since}", since=update.stale_since
                )
                yield f"{at}  {told}"
            return
        for topic, table in update.upsert.items():
            for id_, entity in table.items():
                line = f"{at}  {_DESCRIBE.get(topic, _plain)(id_, entity, topic)}"
                if topic != "calls" or self._is_shown(id_, entity, line, update):
                    yield line
        for topic, ids in update.remove.items():
            if topic not in ("calls", "ended"):  # an end has its row; the oldest ends make room
                for id_ in ids:
                    yield f"{at}  {translated('{topic} {id} is gone', topic=topic, id=id_)}"

    def _forget(self, update: Update) -> None:
        """Drop the rows of calls that have changed or ended."""
        gone = {str(ended["callID"]) for ended in update.upsert.get("ended", {}).values()}
        gone.update(update.remove.get("calls", ()))
        self._together -= gone
        for id_ in gone.union(update.upsert.get("calls", ())):
            self._held.pop(id_, None)

    def _due(self, now: float) -> Iterator[str]:
        """Yield the rows that were held back long enough."""
        for id_, (at, line) in list(self._held.items()):
            if now - at >= _HELD_S:
                del self._held[id_]
                yield line

    def _is_shown(self, id_: str, call: dict[str, Any], line: str, update: Update) -> bool:
        """Return whether a call's row is shown now; if it may be later, hold it back."""
        legs = len(call["AConnList"])
        if legs > 1:
            self._together.add(id_)
        elif legs and id_ in self._together:
            self._held[id_] = moment(update.server_time).timestamp(), line
            return False
        return legs > 0


def _call(id_: str, call: dict[str, Any], _topic: str) -> str:
    legs = ", ".join(
        f"{leg['dnNum']}{_in_brackets(leg['name'])} {leg_word(leg)}"
        + (
            f" {leg['externalParty'] or WORDS['anonymous']}{_in_brackets(leg['partyName'])}"
            if leg["dnType"] == "externalline"
            else ""
        )
        for leg in call["AConnList"]
    )
    waits = translated("{word} in {queue}", word=WORDS["waiting"], queue=call["queue"])
    where = f" · {waits}" if call["queue"] else ""
    did = f" · {call['did']}" if call["did"] else ""
    way, state = WORDS[direction(call)], WORDS[progress(call)]
    return f"{translated('call')} {id_:>6}  {way:<{_WAY_WIDTH}} {state:<12} {legs}{where}{did}"


def _ended(_id: str, ended: dict[str, Any], _topic: str) -> str:
    caller = f"{ended['caller'] or WORDS['anonymous']}{_in_brackets(ended['callerName'])}"
    callee = f"{ended['callee'] or WORDS['nobody']}{_in_brackets(ended['calleeName'])}"
    return (
        f"{translated('call')} {ended['callID']:>6}  {WORDS[direction(ended)]:<{_WAY_WIDTH}} "
        f"{translated('ended'):<12} "
        f"{outcome(ended)}: {caller} → {callee}"
    )


def _system(_id: str, system: dict[str, Any], _topic: str) -> str:
    reason = f": {system['reason']}" if system["reason"] else ""
    return f"{translated('PBX')} {system['fqdn']} {translated(system['connection'])}{reason}"


def _extension(id_: str, extension: dict[str, Any], _topic: str) -> str:
    name = f"{extension['name']} {extension['lastname']}".strip()
    talks = f" {translated('and')} ".join(
        f"{WORDS.get(talk['activity'].lower(), talk['activity'])} "
        f"{talk['num'] or WORDS['anonymous']}{_in_brackets(talk['name'])}"
        for talk in extension["talks"]
    )
    words = talks or doing_words(extension, doing(extension))
    return f"{translated('extension')} {id_}{_in_brackets(name)}: {words}"


def _queue(id_: str, queue: dict[str, Any], _topic: str) -> str:
    waiting = f"{WORDS['waiting']} {len(queue['waiting'])}"
    return f"{translated('queue')} {id_}{_in_brackets(queue['name'])}: {waiting}"


def _plain(id_: str, _entity: dict[str, Any], topic: str) -> str:
    return translated("{topic} {id} changed", topic=topic, id=id_)


def _in_brackets(name: str) -> str:
    return f" ({name})" if name else ""


_DESCRIBE = {
    "calls": _call,
    "ended": _ended,
    "system": _system,
    "extensions": _extension,
    "queues": _queue,
}
