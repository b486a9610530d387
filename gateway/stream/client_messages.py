"""Parse what a client says on the stream. Pure.

A subscription may also stand in an address. There lists are written with commas, and a position
as ``epoch/seq``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from gateway.errors import Refused, shown
from gateway.fanout.filters import FIELDS as FILTER_FIELDS
from gateway.fanout.filters import BadFilter, EntityFilter, filter_of
from gateway.operations.operation_table import AnswerSpace, Command, command_named
from gateway.parameters import MOST_GIVEN, Arguments
from monitor.shared.changes import Position, is_epoch
from monitor.shared.codec import Malformed, from_json, from_msgpack
from monitor.shared.entities.topics import BOOK_TOPICS, FLEET_TOPICS, TOPICS


class BadMessage(Exception):
    """Signal that the client's message is wrong. The client gets an error frame with ``code``."""

    def __init__(self, message: str, code: str = "bad_message") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Represent the wish to watch topics of one space, as each space has a position of its own.

    ``since``: the position at which the client holds this very view. ``merge`` false: send every
    change by itself, as far as the log goes.
    """

    topics: frozenset[str]
    filter: EntityFilter | None = None
    since: Position | None = None
    merge: bool = True

    @property
    def space(self) -> AnswerSpace:
        """Return the space that is watched."""
        if not self.topics.isdisjoint(FLEET_TOPICS):
            return "fleet"
        return "book" if self.book else "live"

    @property
    def book(self) -> bool:
        """Return whether the address book is watched."""
        return not self.topics.isdisjoint(BOOK_TOPICS)


@dataclass(frozen=True, slots=True)
class Watch:
    """Represent the wish to watch the answer of a documented query.

    ``since``: the position of the answer that the client has.
    """

    command: Command
    arguments: Arguments
    since: Position | None = None


@dataclass(frozen=True, slots=True)
class Ping:
    """Represent a ping; the pong repeats its ``at``."""

    at: int | float | str | None


ClientMessage: TypeAlias = Subscribe | Watch | Ping

_FIELDS = {
    "subscribe": {"type", "topics", "filter", "since", "merge", "query", "params"},
    "ping": {"type", "at"},
}
_SUBSCRIPTION: Final = ("topics", "filter", "merge")
_ALL_TOPICS: Final = (*TOPICS, *BOOK_TOPICS, *FLEET_TOPICS)
_LONGEST_ECHO = 64
_NUMBER_BITS = 63


@dataclass(frozen=True, slots=True)
class Rights:
    """Hold what the client's key may see: ``topics`` of the stream, and queries by ``scopes``.

    ``named`` false: the client named no PBX, so it may watch only what is of all PBXs.
    """

    topics: Collection[str]
    scopes: Collection[str] = ()
    named: bool = True


def parse(data: str | bytes, rights: Rights) -> ClientMessage:
    """Parse a client's message: text is JSON, bytes are msgpack. Raises BadMessage."""
    try:
        message = from_json(data) if isinstance(data, str) else from_msgpack(data)
    except Malformed as error:
        raise BadMessage(f"The message is {error}."[:200]) from error
    if not isinstance(message, dict):
        raise BadMessage("A message must be an object with a type.")
    kind = message.get("type")
    if not isinstance(kind, str) or kind not in _FIELDS:
        raise BadMessage(f"The type must be subscribe or ping, not {_short(kind)}.")
    for name in message:
        if name not in _FIELDS[kind]:
            raise BadMessage(f"A message of type {kind} has no field {_short(name)}.")
    return _subscribe(message, rights) if kind == "subscribe" else _ping(message)


def from_address(given: Sequence[tuple[str, str]], rights: Rights) -> Subscribe | Watch | None:
    """Return the subscription in an address's names and values; None if there is none.

    Raises BadMessage if it is wrong.
    """
    if not given:
        return None
    if len(given) > MOST_GIVEN:
        raise BadMessage(f"There are more than {MOST_GIVEN} parameters.")
    query = next((value for name, value in given if name == "query"), None)
    if query is not None:
        return _watch(query, [(name, value) for name, value in given if name != "query"], rights)
    _refuse_twice(name for name, _ in given)
    message: dict[str, Any] = {"filter": {}}
    for name, value in given:
        match name:
            case "topics":
                message["topics"] = _split(value)
            case "since":
                epoch, _, seq = value.rpartition("/")
                message["since"] = {
                    "epoch": epoch,
                    "seq": int(seq) if seq.isdecimal() and len(seq) < 19 else None,
                }
            case "merge":
                message["merge"] = {"true": True, "false": False}.get(value)
            case _ if name in FILTER_FIELDS:
                message["filter"][name] = _split(value)
            case _:
                known = ", ".join(("topics", "since", "merge", *FILTER_FIELDS))
                raise BadMessage(
                    f"There is no parameter {_short(name)} here; known are query (with its "
                    f"parameters), {known}."
                )
    return _subscribe(message, rights)


def _refuse_twice(names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise BadMessage(
                f"{_short(name)} was given twice; separate several values with commas."
            )
        seen.add(name)


def _subscribe(message: Mapping[str, Any], rights: Rights) -> Subscribe | Watch:
    if "query" in message:
        if any(name in message for name in _SUBSCRIPTION):
            raise BadMessage(
                "query goes only with params and since: a subscription watches either topics "
                "or a query."
            )
        params = message.get("params", {})
        if not isinstance(params, dict) or not all(isinstance(name, str) for name in params):
            raise BadMessage("params must be an object of the query's parameters.")
        if len(params) > MOST_GIVEN:
            raise BadMessage(f"params has more than {MOST_GIVEN} parameters.")
        watch = _watch(
            message["query"], ((name, _text(name, value)) for name, value in params.items()), rights
        )
        return replace(watch, since=_position(message.get("since")))
    if "params" in message:
        raise BadMessage("params goes only with query.")
    topics = _topics(message.get("topics"), rights)
    merge = message.get("merge", True)
    if not isinstance(merge, bool):
        raise BadMessage("merge must be true or false.")
    return Subscribe(topics, _filter(message.get("filter")), _position(message.get("since")), merge)


def _topics(topics: object, rights: Rights) -> frozenset[str]:
    if (
        not isinstance(topics, list)
        or len(topics) > MOST_GIVEN
        or not all(isinstance(topic, str) for topic in topics)
    ):
        raise BadMessage(f"topics must be a list of at most {MOST_GIVEN} topics.")
    if not topics:
        raise BadMessage("topics is empty: name a topic.")
    for topic in topics:
        if topic not in _ALL_TOPICS:
            raise BadMessage(
                f"There is no topic {_short(topic)}; there are {', '.join(_ALL_TOPICS)}."
            )
        if not rights.named and topic not in FLEET_TOPICS:
            raise _not_named(f"The topic {topic}")
        if topic not in rights.topics:
            raise BadMessage(f"This key may not see the topic {topic}.", "not_allowed")
    wanted = frozenset(topics)
    if not wanted.isdisjoint(BOOK_TOPICS) and not wanted <= BOOK_TOPICS.keys():
        raise BadMessage(
            "contacts have their own position: subscribe to them alone, on another connection."
        )
    if not wanted.isdisjoint(FLEET_TOPICS) and not wanted <= FLEET_TOPICS.keys():
        raise BadMessage(
            "pbxs have their own position: subscribe to them alone, on another connection."
        )
    return wanted


def _not_named(what: str) -> BadMessage:
    return BadMessage(
        f"{what} is of one PBX, and this connection names none: connect to "
        "/webapi/{key}/{pbx}/stream, or send the header Callmon-Pbx. Without it only pbxs and "
        "all.pbx.get can be watched.",
        "pbx_not_named",
    )


def _filter(given: object) -> EntityFilter | None:
    if given is None:
        return None
    if not isinstance(given, dict) or not all(
        isinstance(name, str) and isinstance(values, list) for name, values in given.items()
    ):
        raise BadMessage("filter must be an object of lists.")
    try:
        return filter_of(given)
    except BadFilter as error:
        raise BadMessage(str(error)) from error


def _position(since: object) -> Position | None:
    """Return the client's position; None if it cannot be one of ours.

    Such a position is treated as if none were given. Raises BadMessage if it is not a position
    at all.
    """
    match since:
        case None:
            return None
        case {"epoch": str(epoch), "seq": int(seq)} if (
            not isinstance(seq, bool) and 0 <= seq < 2**63
        ):
            return Position(epoch, seq) if is_epoch(epoch) else None
        case _:
            raise BadMessage("since must be a position: epoch and seq.")


def _watch(query: object, params: Iterable[tuple[str, str]], rights: Rights) -> Watch:
    if not isinstance(query, str):
        raise BadMessage("query must be the name of a documented query.")
    try:
        command = command_named(query)
        if command.query is None:
            raise BadMessage(
                f"{command.name} cannot be watched: it is not a query that the gateway answers.",
                "not_allowed",
            )
        if not rights.named and command.space != "fleet":
            raise _not_named(command.name)
        if command.scope not in rights.scopes:
            raise BadMessage(
                f"{command.name} needs a key with the scope {command.scope!r}.", "not_allowed"
            )
        return Watch(command, command.check(params))
    except Refused as error:
        raise BadMessage(str(error), shown(error).code) from error


def _text(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise BadMessage(f"params: {_short(name)} must be a text or a whole number.")


def _split(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


def _ping(message: Mapping[str, Any]) -> Ping:
    at = message.get("at")
    if isinstance(at, bool) or not isinstance(at, int | float | str | None):
        raise BadMessage("at must be a number or a text.")
    if isinstance(at, int) and at.bit_length() > _NUMBER_BITS:
        raise BadMessage("at is too large a number.")
    if isinstance(at, str) and len(at) > _LONGEST_ECHO:
        raise BadMessage(f"at has at most {_LONGEST_ECHO} characters.")
    return Ping(at)


def _short(value: object) -> str:
    if not isinstance(value, str | bytes | int | float | None):
        return "an object" if isinstance(value, dict) else "a list"  # repr() of a deep one may fail
    text = repr(value)
    return text if len(text) <= _LONGEST_ECHO else f"{text[:_LONGEST_ECHO]}…"
