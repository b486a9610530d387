"""Run ``callmon tail`` and ``callmon snapshot``: show the stream to people and pipes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.cli.terminal_output import say, say_text
from gateway.stream_client import Connection, StreamClient, Update, stream_url, tls_context
from monitor.shared.entities.topics import TOPICS
from monitor.shared.errors import CallmonError, ConfigError

_CALL_WORDS = {"Ringing": "rings", "Dialing": "calls", "Connected": "talks"}


@dataclass(frozen=True, slots=True)
class GatewayAddress:
    """Hold a gateway's address and key from the command line.

    ``insecure``: do not check its certificate.
    """

    url: str
    key: str
    ca_file: Path | None = None
    insecure: bool = False

    def client(
        self, topics: Sequence[str], on_connection: Callable[[Connection], None] | None = None
    ) -> StreamClient:
        """Return a client of the gateway's stream. Raises StreamMisconfigured."""
        url = stream_url(self.url)
        context = (
            tls_context(self.ca_file, insecure=self.insecure) if url.startswith("wss:") else None
        )
        return StreamClient(url, self.key, topics, ssl=context, on_connection=on_connection)


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
    async with gateway.client(_topics(topics), Reporter()) as client:
        async for update in client:
            for line in _json_lines(update) if as_json else _lines(update):
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
                f"No state came from {gateway.url} within {timeout_s:g} s."
            ) from None
    state = {"epoch": update.position.epoch, "seq": update.position.seq, "state": update.state}
    say_text(json.dumps(state, ensure_ascii=False, indent=2))


def _topics(text: str) -> tuple[str, ...]:
    topics = tuple(part.strip() for part in text.split(",") if part.strip()) or tuple(TOPICS)
    unknown = [topic for topic in topics if topic not in TOPICS]
    if unknown:
        raise ConfigError(f"{', '.join(unknown)}: not a topic; the topics are {', '.join(TOPICS)}")
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


def _lines(update: Update) -> Iterable[str]:
    at = update.server_time[11:23]
    if update.kind == "snapshot":
        counts = ", ".join(f"{len(table)} {topic}" for topic, table in update.state.items())
        yield f"{at}  snapshot at {update.position}: {counts}"
    elif update.kind == "heartbeat":
        if update.stale_since is not None:
            yield f"{at}  nothing heard from the monitor since {update.stale_since}"
    else:
        for topic, table in update.upsert.items():
            for id_, entity in table.items():
                yield f"{at}  {_DESCRIBE.get(topic, _plain)(id_, entity, topic)}"
        for topic, ids in update.remove.items():
            if topic != "calls":
                yield from (f"{at}  {topic} {id_} is gone" for id_ in ids)


def _does(leg: dict[str, Any]) -> str:
    if leg.get("listening"):
        return "listens"
    word: str = _CALL_WORDS.get(leg["status"], leg["status"])
    return word


def _call(id_: str, call: dict[str, Any], _topic: str) -> str:
    legs = ", ".join(
        f"{leg['dnNum']}{_in_brackets(leg['name'])} {_does(leg)}"
        + (
            f" {leg['externalParty']}{_in_brackets(leg['partyName'])}"
            if leg["dnType"] == "externalline"
            else ""
        )
        for leg in call["AConnList"]
    )
    where = f" · waits in {call['queue']}" if call["queue"] else ""
    did = f" · {call['did']}" if call["did"] else ""
    return f"call {id_:>6}  {call['direction']:<12} {call['state']:<12} {legs}{where}{did}"


def _ended(_id: str, ended: dict[str, Any], _topic: str) -> str:
    caller = f"{ended['caller'] or 'unknown'}{_in_brackets(ended['callerName'])}"
    callee = f"{ended['callee'] or 'nobody'}{_in_brackets(ended['calleeName'])}"
    return (
        f"call {ended['callID']:>6}  {ended['direction']:<12} {'ended':<12} "
        f"{ended['outcome']}: {caller} → {callee}"
    )


def _system(_id: str, system: dict[str, Any], _topic: str) -> str:
    reason = f": {system['reason']}" if system["reason"] else ""
    return f"PBX {system['fqdn']} {system['connection']}{reason}"


def _extension(id_: str, extension: dict[str, Any], _topic: str) -> str:
    name = f"{extension['name']} {extension['lastname']}".strip()
    doing = " and ".join(
        f"{talk['activity']} {talk['num']}{_in_brackets(talk['name'])}"
        for talk in extension["talks"]
    )
    return f"extension {id_}{_in_brackets(name)}: {doing or extension['activity']}"


def _queue(id_: str, queue: dict[str, Any], _topic: str) -> str:
    return f"queue {id_}{_in_brackets(queue['name'])}: {len(queue['waiting'])} waiting"


def _plain(id_: str, _entity: dict[str, Any], topic: str) -> str:
    return f"{topic} {id_} changed"


def _in_brackets(name: str) -> str:
    return f" ({name})" if name else ""


_DESCRIBE = {
    "calls": _call,
    "ended": _ended,
    "system": _system,
    "extensions": _extension,
    "queues": _queue,
}
