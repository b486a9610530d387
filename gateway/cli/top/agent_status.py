"""Find out from the stream's entities what agents do. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, Literal, TypeAlias

from gateway.cli.wall_words import doing, doing_words, talk_of
from gateway.stream_client import Entities

Tone: TypeAlias = Literal["", "good", "busy", "warn", "alarm", "dim", "strong"]
"""The meaning of a cell; its words or glyph say it too."""

DOING: Final[Mapping[str, tuple[str, Tone]]] = {
    "free": ("○", "good"),
    "ringing": ("◐", "warn"),
    "talking": ("●", "busy"),
    "away": ("❙", "dim"),
    "out": ("×", "dim"),
}
"""Activity of an agent → glyph and tone. Those that matter most for a queue come first."""


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


def told(extension: Mapping[str, Any], what: str) -> tuple[str, Tone]:
    """Return glyph and words for what an extension does, and their tone."""
    glyph, tone = DOING[what]
    return f"{glyph} {doing_words(extension, what)}", tone


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
