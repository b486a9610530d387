"""Compose the details of ``callmon top``. Pure.

These are a call's legs, a queue's callers and agents, an agent's day, or a missed call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from gateway.cli.top.agent_status import agents, told
from gateway.cli.top.rows import duration, named, since, wanted_by, zone_of
from gateway.cli.wall_words import (
    WORDS,
    direction,
    doing,
    leg_word,
    outcome,
    progress,
    translated,
)
from gateway.stream_client import Entities
from monitor.shared.timestamps import moment


@dataclass(frozen=True, slots=True)
class Details:
    """Hold the details of one row.

    ``lines``: sentences above the table. ``table``: its first row is its head; it may be empty.
    """

    title: str
    lines: tuple[str, ...]
    table: tuple[tuple[str, ...], ...] = ()


def details(sheet: str, id_: str, state: Entities, now: float) -> Details:
    """Return the details of a row of a sheet, or a sentence that it is gone."""
    topic, draw = {
        "Calls": ("calls", _call),
        "Queues": ("queues", _queue),
        "Agents": ("extensions", _agent),
        "Missed": ("ended", _missed),
    }[sheet]
    entity = state.get(topic, {}).get(id_)
    if entity is None:
        gone = "It has ended." if topic == "calls" else "It no longer exists."
        return Details(f"{translated(sheet.removesuffix('s'))} {id_}", (translated(gone),))
    return draw(entity, state, now)


def _call(call: Mapping[str, Any], state: Entities, now: float) -> Details:
    zone = zone_of(state)
    began = translated(
        "began {at}, {ago} ago",
        at=_clock(call["startedAt"], zone),
        ago=duration(since(call["startedAt"], now) or 0.0),
    )
    lines = [f"{WORDS[direction(call)]} · {WORDS[progress(call)]} · {began}"]
    if call["answeredAt"]:
        lines.append(
            translated(
                "Answered {at}, talks for {time}",
                at=_clock(call["answeredAt"], zone),
                time=duration(since(call["answeredAt"], now) or 0),
            )
        )
    if call["queue"]:
        lines.append(
            translated(
                "Waits in queue {queue} for {time}",
                queue=call["queue"],
                time=duration(since(call["queuedAt"], now) or 0.0),
            )
        )
    if call["did"]:
        lines.append(f"DID: {call['did']}")
    head = (
        *(WORDS["number"], WORDS["name"], WORDS["status"], WORDS["time"], WORDS["party"]),
        *(translated(title) for title in ("For", "Type", "Leg")),
    )
    legs = (
        (
            leg["dnNum"],
            leg["name"],
            leg_word(leg),
            "" if leg["since"] is None else duration(since(leg["since"], now) or 0.0),
            " ".join(part for part in (leg["externalParty"], leg["partyName"]) if part),
            leg["onBehalfOf"]
            or (
                translated("transferred by {who}", who=leg["referredBy"])
                if leg["referredBy"]
                else ""
            ),
            leg["dnType"],
            "" if leg["legId"] is None else str(leg["legId"]),
        )
        for leg in call["AConnList"]
    )
    return Details(f"{translated('Call')} {call['callID']}", tuple(lines), (head, *legs))


def _queue(queue: Mapping[str, Any], state: Entities, now: float) -> Details:
    lines = [
        translated(
            "{place}. {who}, waits for {time}",
            place=place,
            who=named(one["num"], one["name"]),
            time=duration(since(one["since"], now) or 0.0),
        )
        for place, one in enumerate(queue["waiting"], 1)
    ] or [translated("Nobody waits.")]
    stats = state.get("queuestats", {}).get(queue["num"])
    if stats is not None:
        level = _percent(stats["serviceLevel"])
        waits, talks = _average(stats["waits"]), _average(stats["talks"])
        lines += [
            translated(
                "Today: {offered} offered, {answered} answered, {abandoned} abandoned, "
                "{shortAbandoned} more in less than {shortBelow} s",
                **stats,
            ),
            translated(
                "Service level: {level} within {target} s", level=level, target=stats["target"]
            ),
            translated("Waits: {waits}; talks: {talks}", waits=waits, talks=talks),
        ]
    extensions = state.get("extensions", {})
    members = []
    for agent in queue["agents"]:
        extension = extensions.get(agent["num"])
        logged_in = agent["num"] in queue["loggedIn"]
        what = "" if extension is None else told(extension, doing(extension, logged_in))[0]
        members.append((agent["num"], agent["name"], what, agent["skillGroup"]))
    return Details(
        f"{translated('Queue')} {named(queue['num'], queue['name'])}",
        tuple(lines),
        ((translated("No."), WORDS["name"], WORDS["state"], translated("Skill")), *members),
    )


def _agent(extension: Mapping[str, Any], state: Entities, now: float) -> Details:
    name = f"{extension['name']} {extension['lastname']}".strip()
    words, _ = told(extension, doing(extension, agents(state).get(extension["num"])))
    registered = translated("registered" if extension["registered"] else "not registered")
    names = ", ".join(extension["queues"]) or translated("none")
    profile = extension["fwdName"] or translated("no profile")
    lines = [f"{words} · {profile} · {registered} · {translated('queues: {names}', names=names)}"]
    lines += _day(state.get("extstats", {}).get(extension["num"]))
    talks = (
        (
            str(talk["callID"]),
            WORDS.get(talk["activity"].lower(), talk["activity"]),
            named(talk["num"], talk["name"]),
            talk["queue"],
            "" if talk["since"] is None else duration(since(talk["since"], now) or 0.0),
        )
        for talk in extension["talks"]
    )
    head = (translated("Call"), WORDS["state"], WORDS["party"], translated("Queue"), WORDS["time"])
    table = (head, *talks) if extension["talks"] else ()
    title = f"{translated('Extension')} {named(extension['num'], name)}"
    return Details(title, tuple(lines), table)


def _missed(ended: Mapping[str, Any], state: Entities, _now: float) -> Details:
    zone = zone_of(state)
    waited = moment(ended["endedAt"]) - moment(ended["queuedAt"] or ended["startedAt"])
    times = f"{_clock(ended['startedAt'], zone)} – {_clock(ended['endedAt'], zone)}"
    lines = [
        f"{times} · {outcome(ended)} · {WORDS['waited']} {duration(waited.total_seconds())}",
        f"{WORDS['to']}: {wanted_by(ended, state.get('queues', {})) or WORDS['nobody']}",
    ]
    if ended["did"]:
        lines.append(f"DID: {ended['did']}")
    if ended.get("returnedAt"):
        by = f", {ended['returnedBy']}" if ended["returnedBy"] else ""
        lines.append(f"{WORDS['calledBack']}: {_clock(ended['returnedAt'], zone)}{by}")
    return Details(named(ended["caller"], ended["callerName"]), tuple(lines))


def _day(stats: Mapping[str, Any] | None) -> list[str]:
    if stats is None:
        return []
    talks, placed_talks = _average(stats["talks"]), _average(stats["placedTalks"])
    told = {**stats, "talks": talks, "placedTalks": placed_talks}
    return [
        translated(
            "Today: rung by {offered}, answered {answered}, missed {missed}, "
            "{elsewhere} taken by others; talks {talks}",
            **told,
        ),
        translated("Of queues: {queueOffered} offered, {queueAnswered} answered", **told),
        translated("Placed {placed}, {placedAnswered} answered; talks {placedTalks}", **told),
    ]


def _clock(instant: str, zone: tzinfo | None) -> str:
    return moment(instant).astimezone(zone).strftime("%H:%M:%S")


def _percent(level: float | None) -> str:
    return "–" if level is None else f"{level:.0f} %"


def _average(durations: Mapping[str, Any]) -> str:
    average, longest = durations["average"], durations["longest"]
    return (
        "–"
        if average is None
        else translated(
            "{average} on average, {longest} at most",
            average=duration(average),
            longest=duration(longest),
        )
    )
