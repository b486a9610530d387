"""Say what calls and agents do in the wall's words, for ``callmon top`` and ``callmon tail``. Pure.

The wallboard's English words are in ``gateway/static/wall/words-en.js``; a test compares them with
:data:`WORDS`. The rules are those of ``rows.js`` and ``people.js`` beside that file. Entities are
plain containers as the stream sends them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

Entity: TypeAlias = Mapping[str, Any]

WORDS: Final[Mapping[str, str]] = {
    "queues": "Queues",
    "agents": "Agents",
    "calls": "Calls",
    "missed": "Missed",
    "waiting": "Waiting",
    "longestBrief": "Longest",
    "free": "Free",
    "ringing": "Ringing",
    "talking": "Talking",
    "away": "Away",
    "out": "Logged out",
    "offline": "Offline",
    "dialing": "Dialing",
    "listens": "Listening",
    "waits": "Waiting",
    "internal": "internal",
    "callsNow": "Calls now",
    "day.answered": "Ans.",
    "day.abandoned": "Aband.",
    "day.level": "SL",
    "day.hour": "60 min",
    "answered": "Answered",
    "abandoned": "Abandoned",
    "serviceLevel": "Service level",
    "noCalls": "No calls now.",
    "noMissed": "Nobody was missed today.",
    "from": "From",
    "to": "To",
    "via": "Via",
    "state": "State",
    "time": "Time",
    "when": "When",
    "waited": "Waited",
    "who": "Who",
    "outcome": "What happened",
    "missedCall": "Missed",
    "abandonedCall": "Abandoned in queue",
    "menuCall": "Abandoned in menu",
    "calledBack": "Spoken since",
    "inbound": "inbound",
    "outbound": "outbound",
    "routing": "Routing",
    "transferring": "Transferring",
    "inQueue": "In queue",
    "inMenu": "In menu",
    "anonymous": "Number withheld",
    "nobody": "–",
    "peak": "Peak today",
    "callsToday": "Calls today, all",
    "answeredToday": "Answered today, all",
    "name": "Name",
    "party": "Other side",
    "status": "Status",
    "number": "Number",
}
"""Key of a word of the wall → the word. A dot leads into a group of words."""

_BUSY: Final[Mapping[str, str]] = {
    "Talking": "talking",
    "Dialing": "dialing",
    "Listening": "listens",
    "Waiting": "waits",
}
"""Activity of an extension that is in a call and not rung → key of its word."""
_ENDS: Final[Mapping[str, str]] = {
    "answered": "Answered",
    "unanswered": "Not answered",
    "handled": "Taken by a machine",
    "transferred": "Handed over",
    "unknown": "Unknown",
}
"""Outcome of a call that was neither missed nor abandoned → words. The wall does not show these."""


def direction(call: Entity) -> str:
    """Return the key of the word for a call's direction."""
    told = call["direction"]
    if told == "Outbound":
        return "outbound"
    return "internal" if told in ("Internal", "FromInternal") else "inbound"


def progress(call: Entity) -> str:
    """Return the key of the word for what goes on in a call."""
    state = call["state"]
    if state == "Talking" and not _hosted(call):
        return "talking"
    if state in ("Transferring", "Rerouting"):
        return "transferring"
    if any(
        leg["status"] == "Ringing" and leg["dnType"] != "externalline" for leg in call["routingTo"]
    ):
        return "ringing"
    if call["queue"]:
        return "inQueue"
    if any(leg["dnType"] == "ivr" for leg in call["AConnList"]):
        return "inMenu"
    return "dialing" if call["direction"] == "Outbound" else "routing"


def _hosted(call: Entity) -> bool:
    """Return whether the caller hears a queue or a menu and nobody else."""
    hosts = [leg["dnType"] in ("queue", "ivr") for leg in call["talkTo"]]
    return bool(hosts) and all(hosts)


def leg_word(leg: Entity) -> str:
    """Return the word for what a leg does."""
    status: str = leg["status"]
    return WORDS["listens"] if leg.get("listening") else WORDS.get(status.lower(), status)


def outcome(ended: Entity) -> str:
    """Return the words for how a call ended."""
    told = ended["outcome"]
    if told == "missed":
        return WORDS["missedCall"]
    if told == "abandoned":
        return WORDS["abandonedCall" if queue_of(ended) else "menuCall"]
    return _ENDS.get(told, str(told))


def queue_of(ended: Entity) -> str:
    """Return the queue of an ended call; empty if it was in none."""
    queue: str = ended["queue"] or next(iter(ended["queues"]), "")
    return queue


def doing(extension: Entity, logged_in: bool | None = None) -> str:
    """Return what an extension does: free, ringing, talking, away or out.

    ``logged_in``: to the queue that is looked at; None: use the status for all queues.
    """
    activity = extension["activity"]
    if activity in _BUSY:
        return "talking"
    if activity == "Ringing":
        return "ringing"
    profile = extension["fwdName"]
    if is_offline(extension):
        return "out"
    if profile and profile != "Available" and not extension["available"]:
        return "away"  # a profile may log out of the queues: then it says more than that
    here = extension["qGlobalStatus"] != "LoggedOut" if logged_in is None else logged_in
    return "free" if here else "out"


def doing_words(extension: Entity, what: str) -> str:
    """Return the words for what an extension does. ``what``: as :func:`doing` returns it."""
    if what == "away":
        return str(extension["fwdName"])
    if what == "out":
        return WORDS["offline" if is_offline(extension) else "out"]
    if what != "talking":
        return WORDS[what]
    key, talk = _BUSY[extension["activity"]], talk_of(extension)
    if talk is not None and talk["queue"] and key in ("talking", "waits"):
        key = "inQueue"  # this extension waits in the queue as a caller
    return WORDS[key]


def is_offline(extension: Entity) -> bool:
    """Return whether an extension has no telephone that could ring."""
    return not extension["registered"] or extension["enabled"] == 0


def talk_of(extension: Entity) -> Entity | None:
    """Return the talk that fits the extension's activity, or None.

    A talk with a person comes before one with a queue.
    """
    talks = [talk for talk in extension["talks"] if talk["activity"] == extension["activity"]]
    return next((talk for talk in talks if not talk["queue"]), talks[0] if talks else None)
