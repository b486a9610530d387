"""Compose the details of ``callmon top``. Pure.

These are a call's legs, a queue's callers and agents, or an agent's day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.cli.top.agent_status import agents, doing, told
from gateway.cli.top.rows import duration, named, since
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
    }[sheet]
    entity = state.get(topic, {}).get(id_)
    if entity is None:
        return Details(
            f"{sheet[:-1]} {id_}",
            ("It has ended.",) if topic == "calls" else ("It no longer exists.",),
        )
    return draw(entity, state, now)


def _call(call: Mapping[str, Any], _state: Entities, now: float) -> Details:
    began = (
        f"began {_clock(call['startedAt'])}, {duration(since(call['startedAt'], now) or 0.0)} ago"
    )
    lines = [f"{call['direction']} · {call['state']} · {began}"]
    if call["answeredAt"]:
        lines.append(
            f"Answered {_clock(call['answeredAt'])}, talks for "
            f"{duration(since(call['answeredAt'], now) or 0)}"
        )
    if call["queue"]:
        lines.append(
            f"Waits in queue {call['queue']} for {duration(since(call['queuedAt'], now) or 0.0)}"
        )
    if call["did"]:
        lines.append(f"DID: {call['did']}")
    head = ("DN", "Name", "Status", "Since", "Other side", "For", "Type", "Leg")
    legs = (
        (
            leg["dnNum"],
            leg["name"],
            leg["status"],
            "" if leg["since"] is None else duration(since(leg["since"], now) or 0.0),
            " ".join(part for part in (leg["externalParty"], leg["partyName"]) if part),
            leg["onBehalfOf"]
            or (f"transferred by {leg['referredBy']}" if leg["referredBy"] else ""),
            leg["dnType"],
            "" if leg["legId"] is None else str(leg["legId"]),
        )
        for leg in call["AConnList"]
    )
    return Details(f"Call {call['callID']}", tuple(lines), (head, *legs))


def _queue(queue: Mapping[str, Any], state: Entities, now: float) -> Details:
    lines = [
        f"{n}. {named(one['num'], one['name'])}, waits for "
        f"{duration(since(one['since'], now) or 0.0)}"
        for n, one in enumerate(queue["waiting"], 1)
    ] or ["Nobody waits."]
    stats = state.get("queuestats", {}).get(queue["num"])
    if stats is not None:
        gave_up = (
            f"{stats['abandoned']} abandoned, {stats['shortAbandoned']} more in less than "
            f"{stats['shortBelow']} s"
        )
        lines += [
            f"Today: {stats['offered']} offered, {stats['answered']} answered, {gave_up}",
            f"Service level: {_percent(stats['serviceLevel'])} within {stats['target']} s",
            f"Waits: {_average(stats['waits'])}; talks: {_average(stats['talks'])}",
        ]
    extensions = state.get("extensions", {})
    members = []
    for agent in queue["agents"]:
        extension = extensions.get(agent["num"])
        logged_in = agent["num"] in queue["loggedIn"]
        what = "" if extension is None else told(extension, doing(extension, logged_in))[0]
        members.append((agent["num"], agent["name"], what, agent["skillGroup"]))
    return Details(
        f"Queue {named(queue['num'], queue['name'])}",
        tuple(lines),
        (("No.", "Agent", "State", "Skill"), *members),
    )


def _agent(extension: Mapping[str, Any], state: Entities, now: float) -> Details:
    name = f"{extension['name']} {extension['lastname']}".strip()
    words, _ = told(extension, doing(extension, agents(state).get(extension["num"])))
    registered = "registered" if extension["registered"] else "not registered"
    queues = f"queues: {', '.join(extension['queues']) or 'none'}"
    lines = [f"{words} · {extension['fwdName'] or 'no profile'} · {registered} · {queues}"]
    lines += _day(state.get("extstats", {}).get(extension["num"]))
    talks = (
        (
            str(talk["callID"]),
            talk["activity"],
            named(talk["num"], talk["name"]),
            talk["queue"],
            "" if talk["since"] is None else duration(since(talk["since"], now) or 0.0),
        )
        for talk in extension["talks"]
    )
    head = (("Call", "Does", "With", "Queue", "Time"),) if extension["talks"] else ()
    return Details(f"Extension {named(extension['num'], name)}", tuple(lines), (*head, *talks))


def _day(stats: Mapping[str, Any] | None) -> list[str]:
    if stats is None:
        return []
    taken = (
        f"answered {stats['answered']}, missed {stats['missed']}, {stats['elsewhere']} taken "
        f"by others"
    )
    placed = f"Placed {stats['placed']}, {stats['placedAnswered']} answered"
    return [
        f"Today: rung by {stats['offered']}, {taken}; talks {_average(stats['talks'])}",
        f"Of queues: {stats['queueOffered']} offered, {stats['queueAnswered']} answered",
        f"{placed}; talks {_average(stats['placedTalks'])}",
    ]


def _clock(instant: str) -> str:
    return moment(instant).astimezone().strftime("%H:%M:%S")


def _percent(level: float | None) -> str:
    return "–" if level is None else f"{level:.0f} %"


def _average(durations: Mapping[str, Any]) -> str:
    average, longest = durations["average"], durations["longest"]
    return (
        "–" if average is None else f"{duration(average)} on average, {duration(longest)} at most"
    )
