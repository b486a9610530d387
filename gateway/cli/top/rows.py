"""Make the rows of ``callmon top`` from the stream's entities, filtered and sorted. Pure.

Entities are plain containers as the stream sends them. ``now`` is POSIX seconds on the server's
clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Final, TypeAlias

from gateway.cli.top.agent_status import DOING, Tone, agents, lasts_since, tally, told
from gateway.cli.wall_words import (
    WORDS,
    direction,
    doing,
    outcome,
    progress,
    queue_of,
    talk_of,
    translated,
)
from gateway.stream_client import Entities
from monitor.shared.time_zones import UnknownZone, zone_info
from monitor.shared.timestamps import moment

SortKey: TypeAlias = tuple[float, str]

_NOBODY: Final = WORDS["nobody"]
_WAYS: Final = {"inbound": "→", "outbound": "←", "internal": "·"}
_STATE_TONES: Final[Mapping[str, Tone]] = {"talking": "busy", "inQueue": "warn", "ringing": "warn"}


@dataclass(frozen=True, slots=True)
class Cell:
    """Hold a text, its meaning, and a number. Cells are sorted by number, then by text.

    ``word``: what the filter finds where the text is a sign.
    """

    text: str
    tone: Tone = ""
    number: float = 0.0
    word: str = ""

    @property
    def key(self) -> SortKey:
        """Return the key for sorting."""
        return self.number, self.text.casefold()


@dataclass(frozen=True, slots=True)
class Row:
    """Hold one row. ``id``: the entity's id."""

    id: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """Describe a column.

    ``width``: in the terminal's cells; the minimum if the column ``grows``. ``brief``: the title
    where the whole one has no room.
    """

    title: str
    width: int
    right: bool = False
    grows: bool = False
    brief: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """Describe a table: its columns and the function that makes its rows.

    ``name``: what details and keys call it. ``title``: what the user reads.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: Callable[[Entities, float], list[Row]]
    empty: str
    """Text that is shown when there are no rows."""
    newest_first: bool = False
    """True if the rows begin with the greatest of the first column, until they are sorted."""


def shown(rows: Iterable[Row], find: str, by: int, *, reverse: bool = False) -> list[Row]:
    """Return the rows in which a cell contains ``find``, in any case of letters.

    They are sorted by column ``by``, then by the first column.
    """
    wanted = find.casefold()
    left = [
        row
        for row in rows
        if not wanted
        or any(wanted in text.casefold() for cell in row.cells for text in (cell.text, cell.word))
    ]
    left.sort(key=lambda row: row.cells[0].key)
    left.sort(key=lambda row: row.cells[by].key, reverse=reverse)
    return left


def duration(seconds: float) -> str:
    """Return seconds as ``m:ss``, ``h:mm:ss`` or ``2 d 3 h``; never negative."""
    whole = max(0, int(seconds))
    if whole >= 86_400:
        day, hour = WORDS["units.d"], WORDS["units.h"]
        return f"{whole // 86_400} {day} {whole // 3600 % 24} {hour}"
    minutes, rest = whole // 60 % 60, whole % 60
    return f"{whole // 3600}:{minutes:02}:{rest:02}" if whole >= 3600 else f"{minutes}:{rest:02}"


def since(instant: str | None, now: float) -> float | None:
    """Return the seconds since an instant, or None if there is none."""
    return None if not instant else max(0.0, now - moment(instant).timestamp())


def named(number: str, name: str) -> str:
    """Return number and name of a party, as far as they are known."""
    return " ".join(part for part in (number, name) if part) or WORDS["anonymous"]


def caller(call: Mapping[str, Any]) -> str:
    """Return the caller: the owner's leg, else the outside line's."""
    legs: Sequence[Mapping[str, Any]] = call["AConnList"]
    leg = call["owner"] or next((leg for leg in legs if leg["dnType"] == "externalline"), None)
    return WORDS["anonymous"] if leg is None else party(leg)


def ends(call: Mapping[str, Any]) -> tuple[str, str]:
    """Return the call's two ends, usually the caller and the party that it reached.

    If the maker of an outgoing call has left it, the party that has the call now comes first.
    """
    owner = call["owner"]
    left = (
        call["direction"] == "Outbound" and owner is not None and owner["dnType"] == "externalline"
    )
    return (reached(call), caller(call)) if left else (caller(call), reached(call))


def reached(call: Mapping[str, Any]) -> str:
    """Return the party that the call has reached or is trying to reach.

    These are the parties that talk, else those that ring, else the place where the call waits.
    """
    owner = call["owner"]
    others = [leg for leg in call["AConnList"] if owner is None or leg["dnNum"] != owner["dnNum"]]
    people = [
        leg
        for leg in others
        if leg["dnType"] in ("extension", "externalline") and not leg.get("listening")
    ]
    for status in ("Connected", "Ringing", "Dialing"):
        found = [party(leg) for leg in people if leg["status"] == status]
        if found:
            return found[0] if len(found) == 1 else f"{found[0]} +{len(found) - 1}"
    return party(others[0]) if others else ""


def party(leg: Mapping[str, Any]) -> str:
    """Return the party at a leg: on an outside line the outside party, else the DN itself."""
    if leg["dnType"] == "externalline":
        return named(leg["externalParty"], leg["partyName"])
    return named(leg["dnNum"], leg["name"])


def _calls(state: Entities, now: float) -> list[Row]:
    return [_call(id_, call, now) for id_, call in state.get("calls", {}).items()]


def _call(id_: str, call: Mapping[str, Any], now: float) -> Row:
    lasts = since(call["startedAt"], now) or 0.0
    waits = since(call["queuedAt"], now) if call["queue"] else None
    near, far = ends(call)
    way, state = direction(call), progress(call)
    return Row(
        id_,
        (
            Cell(id_, "dim", call["callID"]),
            Cell(_WAYS[way], word=WORDS[way]),
            Cell(near, "strong"),
            Cell(_NOBODY if far == near else far),  # while a leg leaves
            Cell(call["queue"] or ", ".join(call["queues"]) or call["did"]),
            Cell(WORDS[state], _STATE_TONES.get(state, "")),
            _time(waits, "warn"),
            _time(lasts),
        ),
    )


def _queues(state: Entities, now: float) -> list[Row]:
    extensions, stats = state.get("extensions", {}), state.get("queuestats", {})
    return [
        _queue(id_, queue, extensions, stats.get(id_), now)
        for id_, queue in state.get("queues", {}).items()
    ]


def _queue(
    id_: str,
    queue: Mapping[str, Any],
    extensions: Mapping[str, Mapping[str, Any]],
    stats: Mapping[str, Any] | None,
    now: float,
) -> Row:
    counts = tally(queue, extensions)
    waiting = queue["waiting"]
    longest = since(waiting[0]["since"], now) if waiting else None
    hour = stats.get("lastHour") if stats else None
    return Row(
        id_,
        (
            _number(queue["num"]),
            Cell(queue["name"], "strong"),
            Cell(str(len(waiting)), "warn" if waiting else "dim", len(waiting)),
            _time(longest, "warn"),
            Cell(
                str(counts["free"]),
                "good" if counts["free"] else "alarm" if waiting else "dim",
                counts["free"],
            ),
            *(
                Cell(str(counts[name]), "" if counts[name] else "dim", counts[name])
                for name in ("ringing", "talking", "away", "out")
            ),
            _answered(stats),
            _count(stats, "abandoned"),
            _level(stats["serviceLevel"] if stats else None),
            _level(hour["serviceLevel"] if hour else None),
        ),
    )


def _answered(stats: Mapping[str, Any] | None) -> Cell:
    if stats is None:
        return Cell("", "", -1.0)
    answered: int = stats["answered"]
    return Cell(f"{answered}/{stats['offered']}", "" if stats["offered"] else "dim", answered)


def _level(level: float | None) -> Cell:
    return Cell(_NOBODY, "", -1.0) if level is None else Cell(f"{level:.0f} %", "", level)


def _agents(state: Entities, now: float) -> list[Row]:
    extensions, stats = state.get("extensions", {}), state.get("extstats", {})
    return [
        _agent(id_, extensions[id_], stats.get(id_), now, here)
        for id_, here in agents(state).items()
    ]


def _agent(
    id_: str,
    extension: Mapping[str, Any],
    stats: Mapping[str, Any] | None,
    now: float,
    logged_in: bool | None,
) -> Row:
    what = doing(extension, logged_in)
    words, tone = told(extension, what)
    talk = talk_of(extension)
    busy = what in ("talking", "ringing")
    talked = None if stats is None else stats["talks"]["total"] + stats["placedTalks"]["total"]
    return Row(
        id_,
        (
            _number(extension["num"]),
            Cell(f"{extension['name']} {extension['lastname']}".strip(), "strong"),
            Cell(words, tone, list(DOING).index(what)),
            _time(since(lasts_since(extension, what), now)),
            Cell(named(talk["num"], talk["name"]) if talk and busy else ""),
            Cell(", ".join(extension["queues"])),
            *(_count(stats, name) for name in ("answered", "missed")),
            _time(talked),
        ),
    )


def _missed(state: Entities, now: float) -> list[Row]:
    """Return today's calls from outside that nobody took."""
    zone = zone_of(state)
    day = state.get("pbxstats", {}).get("pbx")
    begun = (
        moment(day["since"]).timestamp()
        if day is not None
        else datetime.fromtimestamp(now, zone)
        .replace(hour=0, minute=0, second=0, microsecond=0)
        .timestamp()
    )
    return [
        _missed_call(id_, ended, state.get("queues", {}), zone)
        for id_, ended in state.get("ended", {}).items()
        if ended["outcome"] in ("missed", "abandoned")
        and direction(ended) == "inbound"
        and moment(ended["endedAt"]).timestamp() >= begun
    ]


def _missed_call(
    id_: str,
    ended: Mapping[str, Any],
    queues: Mapping[str, Mapping[str, Any]],
    zone: tzinfo | None,
) -> Row:
    end = moment(ended["endedAt"])
    came = moment(ended["queuedAt"] or ended["startedAt"])
    wanted = wanted_by(ended, queues)
    returned = ended.get("returnedAt")
    return Row(
        id_,
        (
            Cell(end.astimezone(zone).strftime("%H:%M"), "dim", end.timestamp()),
            Cell(named(ended["caller"], ended["callerName"]), "strong"),
            Cell(wanted),
            Cell(WORDS["calledBack"], "good") if returned else Cell(outcome(ended), "warn"),
            _time((end - came).total_seconds()),
        ),
    )


def wanted_by(ended: Mapping[str, Any], queues: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the party that the caller wanted, as far as it is known."""
    queue = queue_of(ended)
    if queue:
        return str(queues.get(queue, {}).get("name") or queue)
    callee = " ".join(part for part in (ended["callee"], ended["calleeName"]) if part)
    return callee or next(iter(ended["groups"]), "") or str(ended["did"])


def zone_of(state: Entities) -> tzinfo | None:
    """Return the PBX's time zone, as the wall does; None, this machine's, if it is not known."""
    system, day = state.get("system", {}).get("pbx"), state.get("pbxstats", {}).get("pbx")
    for name in ((system or {}).get("timeZone"), (day or {}).get("zone")):
        if name:
            try:
                return zone_info(name)
            except UnknownZone:
                continue
    return None


def _number(text: str) -> Cell:
    """Return a cell that sorts shorter numbers first, and those of one length in order."""
    return Cell(text, "strong", len(text))


def _time(seconds: float | None, tone: Tone = "") -> Cell:
    return Cell("", "", -1.0) if seconds is None else Cell(duration(seconds), tone, seconds)


def _count(stats: Mapping[str, Any] | None, name: str) -> Cell:
    return (
        Cell("", "", -1.0)
        if stats is None
        else Cell(str(stats[name]), "" if stats[name] else "dim", stats[name])
    )


SHEETS: Final = (
    Sheet(
        "Calls",
        WORDS["calls"],
        (
            Column(translated("Call"), 6, right=True),
            Column("", 2),
            Column(WORDS["from"], 15, grows=True),
            Column(WORDS["to"], 14, grows=True),
            Column(WORDS["via"], 8),
            Column(WORDS["state"], 12),
            Column(WORDS["waited"], 6, right=True),
            Column(WORDS["time"], 7, right=True),
        ),
        _calls,
        WORDS["noCalls"],
    ),
    Sheet(
        "Queues",
        WORDS["queues"],
        (
            Column(translated("No."), 4),
            Column(WORDS["name"], 10, grows=True),
            Column(WORDS["waiting"], 7, right=True),
            Column(WORDS["longestBrief"], 7, right=True),
            *(
                Column(WORDS[name], 2 if name in ("away", "out") else 3, right=True, brief=glyph)
                for name, (glyph, _) in DOING.items()
            ),
            Column(WORDS["answered"], 7, right=True, brief=WORDS["day.answered"]),
            Column(WORDS["abandoned"], 6, right=True, brief=WORDS["day.abandoned"]),
            Column(WORDS["day.level"], 5, right=True),
            Column(WORDS["day.hour"], 6, right=True),
        ),
        _queues,
        translated("There are no queues, or this key may not see them."),
    ),
    Sheet(
        "Agents",
        WORDS["agents"],
        (
            Column(translated("No."), 5),
            Column(WORDS["name"], 10, grows=True),
            Column(WORDS["state"], 12),
            Column(WORDS["time"], 7, right=True),
            Column(WORDS["party"], 10, grows=True),
            Column(WORDS["queues"], 7),
            Column(WORDS["answered"], 5, right=True, brief=WORDS["day.answered"]),
            Column(WORDS["missed"], 6, right=True),
            Column(translated("Talked"), 7, right=True),
        ),
        _agents,
        translated("There are no agents, or this key may not see them."),
    ),
    Sheet(
        "Missed",
        WORDS["missed"],
        (
            Column(WORDS["when"], 5),
            Column(WORDS["who"], 20, grows=True),
            Column(WORDS["to"], 16, grows=True),
            Column(WORDS["outcome"], 18),
            Column(WORDS["waited"], 7, right=True),
        ),
        _missed,
        WORDS["noMissed"],
        newest_first=True,
    ),
)
