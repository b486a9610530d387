"""What a client may say on the stream, parsed. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from monitor.model.entities import BOOK_TOPICS, TOPICS
from monitor.model.wire import Malformed, from_json, from_msgpack


class BadMessage(Exception):
    """What the client said is wrong: told to it in an error frame with ``code``."""

    def __init__(self, message: str, code: str = "bad_message") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Watch these topics: live ones, or those of the address book, never both (they have positions of their own)."""

    topics: frozenset[str]

    @property
    def book(self) -> bool:
        """Whether it is the address book that is watched."""
        return not self.topics.isdisjoint(BOOK_TOPICS)


@dataclass(frozen=True, slots=True)
class Ping:
    """To be answered with the same ``at``."""

    at: int | float | str | None


ClientMessage: TypeAlias = Subscribe | Ping

_FIELDS = {"subscribe": {"type", "topics", "filter", "since", "merge", "query", "params"}, "ping": {"type", "at"}}
_NOT_SERVED = ("filter", "query", "params")
_LONGEST_ECHO = 64
_NUMBER_BITS = 63


class Allowance:
    """How much a client may say: so many messages at once, and so many a second in the long run. Times in seconds."""

    def __init__(self, at_once: int, per_second: float, now: float) -> None:
        self._at_once = float(at_once)
        self._per_second = per_second
        self._left = self._at_once
        self._at = now

    def take(self, now: float) -> bool:
        """Whether one more message is allowed; if so it is counted."""
        self._left = min(self._at_once, self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


def parse(data: str | bytes, allowed: Collection[str]) -> ClientMessage:
    """A client's message: text is JSON, bytes are msgpack. ``allowed``: the topics that its key may see.

    Raises BadMessage.
    """
    try:
        message = from_json(data) if isinstance(data, str) else from_msgpack(data)
    except Malformed as error:
        raise BadMessage(f"The message is {error}."[:200]) from error
    if not isinstance(message, dict):
        raise BadMessage("A message is an object with a type.")
    kind = message.get("type")
    if not isinstance(kind, str) or kind not in _FIELDS:
        raise BadMessage(f"The type is one of subscribe, ping; not {_short(kind)}.")
    for name in message:
        if name not in _FIELDS[kind]:
            raise BadMessage(f"A message of type {kind} has no field {_short(name)}.")
    return _subscribe(message, allowed) if kind == "subscribe" else _ping(message)


def subscribe_to(topics: Collection[str], allowed: Collection[str]) -> Subscribe:
    """The subscription to these topics. Raises BadMessage if one is unknown or not allowed."""
    if not topics:
        raise BadMessage("topics names no topic.")
    for topic in topics:
        if topic not in TOPICS and topic not in BOOK_TOPICS:
            raise BadMessage(f"There is no topic {_short(topic)}.")
        if topic not in allowed:
            raise BadMessage(f"This key may not see the topic {topic}.", "not_allowed")
    subscription = Subscribe(frozenset(topics))
    if subscription.book and not subscription.topics <= BOOK_TOPICS.keys():
        raise BadMessage("contacts have a position of their own: subscribe to them alone, on another connection.")
    return subscription


def _subscribe(message: Mapping[str, Any], allowed: Collection[str]) -> Subscribe:
    for name in _NOT_SERVED:
        if name in message:
            raise BadMessage(f"{name} is not served by this version.", "not_served")
    topics = message.get("topics")
    if not isinstance(topics, list) or not all(isinstance(topic, str) for topic in topics):
        raise BadMessage("topics is a list of topics.")
    _check_since(message.get("since"))
    if not isinstance(message.get("merge", True), bool):
        raise BadMessage("merge is true or false.")
    return subscribe_to(topics, allowed)


def _check_since(since: object) -> None:
    """A position to resume from must be one; it is answered with a snapshot, as one outside the log is."""
    match since:
        case None | {"epoch": str(), "seq": int()}:
            return
        case _:
            raise BadMessage("since is a position: epoch and seq.")


def _ping(message: Mapping[str, Any]) -> Ping:
    at = message.get("at")
    if isinstance(at, bool) or not isinstance(at, int | float | str | None):
        raise BadMessage("at is a number or a text.")
    if isinstance(at, int) and at.bit_length() > _NUMBER_BITS:
        raise BadMessage("at is too large a number.")
    if isinstance(at, str) and len(at) > _LONGEST_ECHO:
        raise BadMessage(f"at has at most {_LONGEST_ECHO} characters.")
    return Ping(at)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_ECHO else f"{text[:_LONGEST_ECHO]}…"
