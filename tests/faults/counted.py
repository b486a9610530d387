"""Count calls by hand from what the people at the PBX did. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tests.faults.ledger import Bounds
from tests.faults.phones import QUEUE, Call

_EXTENSION_LONGEST = 4
"""Digits; longer numbers are outside."""


def statistics_of(call: Call) -> dict[str, int]:
    """What a call that ended adds to the statistics, by name."""
    assert call.ending is not None
    direction = "internal" if len(call.callee) <= _EXTENSION_LONGEST else "outbound"
    found = {"pbx calls": 1, f"pbx {direction}.calls": 1, f"pbx {direction}.{call.ending}": 1}
    found[f"ext {call.caller} placed"] = 1
    if call.callee == QUEUE:
        return found | {"queue offered": 1, "queue gave up": 1}
    if direction == "outbound":
        return found
    found[f"ext {call.callee} offered"] = 1
    if call.ending == "answered":
        found |= {
            "pbx answered": 1,
            f"ext {call.callee} answered": 1,
            f"ext {call.caller} placedAnswered": 1,
        }
    return found


def bounds_of(
    certain: Iterable[Call],
    uncertain: Iterable[Call],
    names: Iterable[str],
    again: Iterable[Call] = (),
) -> dict[str, Bounds]:
    """By how much each figure may have grown. ``certain``: calls that went by while all was well.

    ``again``: earlier calls that came back; what had been counted as unknown may now be counted as
    what it was.
    """
    again = list(again)
    least: dict[str, int] = dict.fromkeys(names, 0)
    most = dict(least)
    for calls, bounds in ((certain, (least, most)), ([*uncertain, *again], (most,))):
        for call in calls:
            for name, count in statistics_of(call).items():
                for each in bounds:
                    each[name] = each.get(name, 0) + count
            for name in _perhaps(call) if bounds == (most,) else ():
                most[name] = most.get(name, 0) + 1
    for call in again:
        for name in _perhaps(call):
            least[name] = least.get(name, 0) - 1
            most.setdefault(name, 0)
    return {name: Bounds(count, most[name]) for name, count in least.items()}


def statistics_told(
    pbx: Mapping[str, Any], queue: Mapping[str, Any], extensions: Mapping[str, Mapping[str, Any]]
) -> dict[str, int]:
    """Return the same names from ``pbx.stats.get``, ``queue.stats.get`` and ``ext.stats.get``.

    What is pending is among them: it must not have grown when all calls are over, or the next
    mixture would find calls that are counted late.
    """
    found: dict[str, int] = {"pbx calls": pbx["calls"], "pbx answered": pbx["answered"]}
    for direction in ("inbound", "internal", "outbound"):
        for name in (
            "calls",
            "answered",
            "missed",
            "abandoned",
            "unanswered",
            "unknown",
            "pending",
        ):
            found[f"pbx {direction}.{name}"] = pbx[direction][name]
    for name in ("offered", "answered", "diverted", "unknown"):
        found[f"queue {name}"] = queue[name]
    found["queue gave up"] = queue["abandoned"] + queue["shortAbandoned"]
    for number, stats in extensions.items():
        for name in ("offered", "answered", "placed", "placedAnswered", "elsewhere", "unknown"):
            found[f"ext {number} {name}"] = stats[name]
    return found


def _perhaps(call: Call) -> list[str]:
    """What nobody saw whole may be counted as, beside what it was."""
    direction = "internal" if len(call.callee) <= _EXTENSION_LONGEST else "outbound"
    found = [f"pbx {direction}.unknown"]
    if call.callee == QUEUE:
        return [*found, "queue unknown"]
    return found if direction == "outbound" else [*found, f"ext {call.callee} unknown"]


def ended_differs(call: Call, told: Iterable[Mapping[str, Any]]) -> str:
    """What is wrong with how the list of ended calls tells of a call; empty: nothing."""
    rows = [row for row in told if row["callID"] == call.call_id]
    if len(rows) > 1:
        lives = ", ".join(
            f"{r.get('startedAt')} to {r.get('endedAt')} {r['outcome']}" for r in rows
        )
        return f"{call}: stands in the list {len(rows)} times: {lives}"
    if not rows:
        return f"{call}: does not stand in the list" if call.certain or call.listed else ""
    outcome = rows[0]["outcome"]
    if call.listed not in ("", outcome) and not _is_put_right(call, outcome):
        return f"{call}: told as {outcome}, and before as {call.listed}"
    allowed = {call.ending} if call.certain else {call.ending, "unknown"}
    return "" if outcome in allowed else f"{call}: told as {outcome}"


def _is_put_right(call: Call, outcome: str) -> bool:
    """Whether the end, which nobody had seen, is told now by a monitor that has come back."""
    return call.listed == "unknown" and outcome == call.ending


def returned(
    calls: Iterable[Call], earlier: frozenset[int], told: Iterable[Mapping[str, Any]]
) -> list[Call]:
    """Return earlier calls of which another monitor's file has told since they were looked at.

    They were not in the list of ended calls then, or nobody knew how they had ended. Whether they
    were counted before this mixture began is not known. ``earlier``: ids of the calls that were
    over when it began.
    """
    outcomes = {row["callID"]: row["outcome"] for row in told}
    return [
        call
        for call in calls
        if call.call_id in earlier
        and call.call_id in outcomes
        and (not call.listed or _is_put_right(call, outcomes[call.call_id]))
    ]


def note_listed(calls: Iterable[Call], told: Iterable[Mapping[str, Any]]) -> None:
    """Note how the list of ended calls tells of these: it is to stay so, unless it is unknown."""
    outcomes = {row["callID"]: row["outcome"] for row in told}
    for call in calls:
        if call.listed in ("", "unknown"):
            call.listed = outcomes.get(call.call_id, call.listed)
