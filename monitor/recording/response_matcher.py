"""Decide which recorded answer a request gets, and when. Pure; times are the recording's seconds.

Rules:

- Requests of a kind get the recorded answers of that kind one after the other, each at its recorded
  time. A client that asks a little early waits for it. A client that asks late gets the newest
  answer that was asked for by then. So a client that reads at the recorded pace reads the same. A
  client that asks for something that was not asked for at that time gets the last answer again.
- A participant is answered as it was after the same event as now; after its Remove it is gone. So a
  read gets the same answer as in the recording, whether it is a little faster or slower.
- The full state is the recorded one, brought up to date by what was read and removed since.
- What the web client's socket told of the queues is the answer to the question for them.
- Query options that only say how to write an answer (``$select``, ``$expand``, ``$top`` …) do not
  distinguish two kinds of requests, as they change with the version of callmon.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from monitor.myphone_messages import GET_MY_INFO
from monitor.recording.file_format import RecordedLine, Recording
from monitor.recording.masking_rules import WEB_CLIENT

PATIENCE_S: Final = 3.0
"""Seconds by which a client may ask early and wait for the answer."""
FULL_STATE: Final = "/callcontrol"
_TELLING: Final = ("$skip", "$filter", "$search")
_GONE: Final = (404, 410)


@dataclass(frozen=True, slots=True)
class RecordedResponse:
    """Hold a recorded answer.

    ``asked``, ``at``: when it was asked for and when it came. ``status`` None: no answer came.
    """

    asked: float
    at: float
    status: int | None
    body: Mapping[str, Any]
    """The part of the line that tells the body: ``body``, ``logins``, ``said`` or ``bytes``; empty
    for an empty body."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Tell the caller to ask again at ``until``."""

    until: float


@dataclass(frozen=True, slots=True)
class SocketLife:
    """Hold when the event socket was open and how it ended.

    ``closed`` None: it did not end as far as was recorded.
    """

    opened: float
    closed: float | None
    code: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SocketRefused:
    """Record that the socket was not opened. ``status`` None: there was no answer."""

    at: float
    status: int | None


class Timeline:
    """Index a recording by its requests. The caller gives ``now``, which never goes back."""

    def __init__(self, recording: Recording) -> None:
        self.seconds = recording.seconds
        self.events: tuple[RecordedLine, ...] = tuple(
            line for line in recording.lines if line.kind == "event"
        )
        """Messages on the socket, in order."""
        self.lives, self.refusals = _sockets(recording.lines)
        self._replies: dict[str, list[RecordedResponse]] = defaultdict(list)
        self._next: dict[str, int] = {}
        for key, reply in _replies(recording.lines):
            self._replies[key].append(reply)
        for replies in self._replies.values():
            replies.sort(key=lambda reply: reply.asked)
        self._happened = _happenings(self.events)
        self._changes = sorted(_changes(self._replies, self.events), key=lambda change: change.at)

    def reply(
        self, method: str, address: str, ask: int, now: float
    ) -> RecordedResponse | Wait | None:
        """Return what a request gets; None if no request like it is known.

        ``ask``: the web client's message.
        """
        key = key_of(method, address, ask)
        place = _participant(key)
        if place is not None:
            return self._of_participant(key, place, now)
        found = self._in_turn(key, now)
        if (
            key == f"GET {FULL_STATE}"
            and isinstance(found, RecordedResponse)
            and found.status == 200
        ):
            return self._forward(found, max(now, found.at))
        return found

    def socket(self, now: float) -> SocketLife | SocketRefused | Wait | None:
        """Return what happens to a socket that a client wants to open.

        None: nothing like it was recorded, or nothing more.
        """
        for life in self.lives:
            if life.opened <= now and (life.closed is None or now < life.closed):
                return life
        coming = [life.opened for life in self.lives] + [refused.at for refused in self.refusals]
        soon = min((at for at in coming if now < at <= now + PATIENCE_S), default=None)
        if soon is not None:
            return Wait(soon)
        return max(
            (refused for refused in self.refusals if refused.at <= now),
            key=lambda r: r.at,
            default=None,
        )

    def _in_turn(self, key: str, now: float) -> RecordedResponse | Wait | None:
        replies, following = self._replies.get(key, ()), self._next.get(key, 0)
        if not replies:
            return None
        due = bisect_right(replies, now, key=lambda reply: reply.asked) - 1
        if due < following:
            if following < len(replies) and replies[following].asked <= now + PATIENCE_S:
                return Wait(replies[following].asked)
            return replies[max(0, following - 1)]
        self._next[key] = due + 1
        return replies[due]

    def _of_participant(
        self, key: str, place: tuple[str, int], now: float
    ) -> RecordedResponse | Wait:
        happened = self._happened.get(place, [])
        passed = bisect_right(happened, now, key=lambda event: event[0])
        since, removed = happened[passed - 1] if passed else (0.0, False)
        until = happened[passed][0] if passed < len(happened) else float("inf")
        replies = self._replies.get(key, [])
        then = [reply for reply in replies if since <= reply.asked < until]
        known = [reply for reply in then if reply.asked <= now]
        if known:
            return known[-1]
        if then:
            return then[0]
        if removed:
            return RecordedResponse(now, now, 404, {})
        before = [reply for reply in replies if reply.asked < since]
        later = next((reply for reply in replies if reply.asked >= until), None)
        if later is not None:  # one read answered two events
            return (
                later
                if later.asked <= now + PATIENCE_S
                else RecordedResponse(now, now, later.status, later.body)
            )
        return before[-1] if before else self._held(place, now)

    def _held(self, place: tuple[str, int], now: float) -> RecordedResponse:
        """Return the answer for a participant that only the full state contains."""
        replies = self._replies.get(f"GET {FULL_STATE}", ())
        full = next(
            (reply for reply in reversed(replies) if reply.asked <= now and reply.status == 200),
            None,
        )
        for row in _rows(self._forward(full, now).body.get("body")) if full is not None else ():
            for participant in _rows(row.get("participants")):
                if (row.get("dn"), participant.get("id")) == place:
                    return RecordedResponse(now, now, 200, {"body": participant})
        return RecordedResponse(now, now, 404, {})

    def _forward(self, full: RecordedResponse, now: float) -> RecordedResponse:
        """Return the full state as it is at ``now``."""
        changes = [
            change for change in self._changes if full.asked < change.asked and change.at <= now
        ]
        if not changes:
            return full
        rows = [
            {**row, "participants": list(_rows(row.get("participants")))}
            for row in _rows(full.body.get("body"))
        ]
        for change in changes:
            for row in rows:
                if row.get("dn") == change.place[0]:
                    held = [one for one in row["participants"] if one.get("id") != change.place[1]]
                    row["participants"] = held if change.row is None else [*held, change.row]
        return RecordedResponse(full.asked, full.at, full.status, {"body": rows})


@dataclass(frozen=True, slots=True)
class _Change:
    """Hold what became known of a participant. ``row`` None: it is gone."""

    asked: float
    at: float
    place: tuple[str, int]
    row: Mapping[str, Any] | None


def key_of(method: str, address: str, ask: int = 0) -> str:
    """Return the kind of a request."""
    path, _, query = address.partition("?")
    given = sorted(
        pair for pair in parse_qsl(query) if pair[0] in _TELLING and pair[1] not in ("", "0")
    )
    telling = [f"{name}={value}" for name, value in given]
    what = "&".join((*telling, *((str(ask),) if ask else ())))
    return f"{method} {unquote(path)}{f'?{what}' if what else ''}"


_QUEUES: Final = key_of("POST", WEB_CLIENT, GET_MY_INFO)


def _replies(lines: tuple[RecordedLine, ...]) -> Iterator[tuple[str, RecordedResponse]]:
    last: dict[str, Mapping[str, Any]] = {}
    pushes = any(line.kind == "push" for line in lines)
    for line in lines:
        if line.kind == "push" and "logins" in line.said:
            yield _QUEUES, RecordedResponse(line.t, line.t, 200, {"logins": line.said["logins"]})
        if line.kind not in ("answer", "silence"):
            continue
        said = line.said
        asked, status = said.get("asked"), said.get("status")
        asked = line.t if asked is None else float(asked)
        request = f"{said.get('method')} {said.get('path')} {status}"
        body = {name: said[name] for name in ("body", "logins", "said", "bytes") if name in said}
        body = dict(last.get(request, {})) if said.get("same") else body
        last[request] = body
        key = key_of(str(said.get("method")), str(said.get("path")), int(said.get("ask") or 0))
        if pushes and key == _QUEUES and status == 200 and "said" not in body:
            continue  # the answer was none of the queues: they were pushed
        yield key, RecordedResponse(asked, line.t, status if line.kind == "answer" else None, body)


def _sockets(
    lines: tuple[RecordedLine, ...],
) -> tuple[tuple[SocketLife, ...], tuple[SocketRefused, ...]]:
    lives: list[SocketLife] = []
    refusals: list[SocketRefused] = []
    for line in lines:
        match line.kind:
            case "opened":
                lives.append(SocketLife(line.t, None))
            case "closed" if lives:
                said = line.said
                lives[-1] = SocketLife(
                    lives[-1].opened, line.t, said.get("code"), str(said.get("reason", ""))
                )
            case "away":
                refusals.append(SocketRefused(line.t, line.said.get("status")))
    for number, life in enumerate(lives[1:]):
        if lives[number].closed is None:  # the client gave it up without a close frame
            lives[number] = SocketLife(lives[number].opened, life.opened)
    return tuple(lives), tuple(refusals)


def _happenings(
    events: tuple[RecordedLine, ...],
) -> dict[tuple[str, int], list[tuple[float, bool]]]:
    """Return for each participant when events told of it, and whether it was then gone."""
    found: dict[tuple[str, int], list[tuple[float, bool]]] = defaultdict(list)
    for line in events:
        place, removed, _ = _event(line)
        if place is not None:
            found[place].append((line.t, removed))
    return found


def _changes(
    replies: Mapping[str, list[RecordedResponse]], events: tuple[RecordedLine, ...]
) -> Iterator[_Change]:
    for key, answered in replies.items():
        place = _participant(key)
        for reply in answered if place is not None else ():
            row = reply.body.get("body")
            if reply.status == 200 and isinstance(row, dict):
                yield _Change(reply.asked, reply.at, place or ("", 0), row)
            elif reply.status in _GONE:
                yield _Change(reply.asked, reply.at, place or ("", 0), None)
    for line in events:
        place, removed, data = _event(line)
        if place is not None and (removed or data):
            yield _Change(line.t, line.t, place, None if removed else data)


def _event(line: RecordedLine) -> tuple[tuple[str, int] | None, bool, Mapping[str, Any]]:
    """Return the participant of an event, whether it is gone, and its data in the event."""
    body = line.said.get("body")
    event = body.get("event") if isinstance(body, dict) else None
    if not isinstance(event, dict) or event.get("event_type") not in (0, 1):
        return None, False, {}
    data = event.get("attached_data")
    place = _participant(f"GET {unquote(str(event.get('entity', '')))}")
    whole = (
        data if isinstance(data, dict) and place is not None and data.get("id") == place[1] else {}
    )
    return place, event.get("event_type") == 1, whole


def _participant(key: str) -> tuple[str, int] | None:
    match key.split("/"):
        case ["GET ", "callcontrol", dn, "participants", number] if (
            number.isascii() and number.isdigit()
        ):
            return dn, int(number)
    return None


def _rows(value: Any) -> Iterator[dict[str, Any]]:
    return (row for row in value if isinstance(row, dict)) if isinstance(value, list) else iter(())
