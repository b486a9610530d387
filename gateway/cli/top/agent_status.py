"""Find out from the stream's entities what agents do. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, Literal, TypeAlias

from gateway.stream_client import Entities

Tone: TypeAlias = Literal["", "good", "busy", "warn", "alarm", "dim", "strong"]
"""The meaning of a cell; its words or glyph say it too."""

DOING: Final[Mapping[str, tuple[str, str, Tone]]] = {
    "free": ("○", "Free", "good"),
    "ringing": ("◐", "Ringing", "warn"),
    "talking": ("●", "Talking", "busy"),
    "away": ("❙", "Away", "dim"),
    "out": ("×", "Logged out", "dim"),
}
"""Activity of an agent → glyph, word and tone. Those that matter most for a queue come first."""
_BUSY: Final[Mapping[str, str]] = {
    "Talking": "Talking",
    "Dialing": "Dialling",
    "Listening": "Listening",
    "Waiting": "Waiting",
}
"""Activity of an extension that is in a call and not rung → its word."""


def agents(state: Entities) -> dict[str, bool | None]:
    """Return the agents of queues, and for each whether it is logged in to one.

    If there are no queues, return all extensions with None.
    """
    extensions, queues = state.get("extensions", {}), state.get("queues", {}).values()
    if not queues:
        return dict.fromkeys(extensions)
    members = {agent["num"] for queue in queues for agent in queue["agents"]}
    logged_in = {num for queue in queues for num in queue["loggedIn"]}
    return {num: num in logged_in for num in extensions if num in members}


def doing(extension: Mapping[str, Any], logged_in: bool | None = None) -> str:
    """Return what an extension does, as a key of :data:`DOING`.

    ``logged_in``: to the queue that is looked at; None: use the status for all queues.
    """
    activity = extension["activity"]
    if activity in _BUSY:
        return "talking"
    if activity == "Ringing":
        return "ringing"
    here = extension["qGlobalStatus"] != "LoggedOut" if logged_in is None else logged_in
    if not extension["registered"] or extension["enabled"] == 0 or not here:
        return "out"
    profile = extension["fwdName"]
    return "away" if profile and profile != "Available" and not extension["available"] else "free"


def told(extension: Mapping[str, Any], what: str) -> tuple[str, Tone]:
    """Return glyph and words for what an extension does, and their tone."""
    glyph, word, tone = DOING[what]
    talk = talk_of(extension)
    if what == "away":
        word = extension["fwdName"]
    elif what == "out" and (not extension["registered"] or extension["enabled"] == 0):
        word = "Offline"
    elif what == "talking":
        word = _BUSY[extension["activity"]]
        if talk is not None and talk["queue"] and word in ("Talking", "Waiting"):
            word = "In queue"  # this extension waits in the queue as a caller
    return f"{glyph} {word}", tone


def talk_of(extension: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the talk that fits the extension's activity, or None.

    A talk with a person comes before one with a queue.
    """
    talks = [talk for talk in extension["talks"] if talk["activity"] == extension["activity"]]
    return next((talk for talk in talks if not talk["queue"]), talks[0] if talks else None)


def lasts_since(extension: Mapping[str, Any], what: str) -> str | None:
    """Return the time since when the extension does that, or None if it is not known."""
    talk = talk_of(extension)
    if what in ("talking", "ringing"):
        found: str | None = talk["since"] if talk else extension["since"]
        return found
    known = [extension.get("presenceSince"), extension["since"] if what == "free" else None]
    return max(filter(None, known), default=None)


def tally(queue: Mapping[str, Any], extensions: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """Return how many of a queue's agents do what."""
    counts = dict.fromkeys(DOING, 0)
    logged_in: Collection[str] = queue["loggedIn"]
    for agent in queue["agents"]:
        extension = extensions.get(agent["num"])
        if extension is not None:
            counts[doing(extension, agent["num"] in logged_in)] += 1
    return counts
