"""Parse what a client says on the stream. Pure.

A subscription may also stand in an address. There lists are written with commas, and a position
as ``epoch/seq``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from gateway.errors import Refused, shown
from gateway.fanout.field_selection import BadFields, FieldSelection, Selection, selection_of
from gateway.fanout.filters import FIELDS as FILTER_FIELDS
from gateway.fanout.filters import BadFilter, EntityFilter, filter_of
from gateway.operations.operation_table import AnswerSpace, Command, command_named
from gateway.parameters import MOST_GIVEN, Arguments
from gateway.transport.subscription_id import SubscriptionId
from monitor.shared.changes import Position, is_epoch
from monitor.shared.codec import Malformed, from_json, from_msgpack
from monitor.shared.entities.topics import BOOK_TOPICS, FLEET_TOPICS, TOPICS


class BadMessage(Exception):
    """Signal that the client's message is wrong. The client gets an error frame with ``code``.

    ``id``: of the subscription that the message was about; None: it had none.
    """

    def __init__(self, message: str, code: str = "bad_message") -> None:
        super().__init__(message)
        self.code = code
        self.id: SubscriptionId | None = None


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Represent the wish to watch topics of one space, as each space has a position of its own.

    ``since``: the position at which the client holds this very view. ``merge`` false: send every
    change by itself, as far as the log goes. ``id``: the subscription's; None: it is the one
    without an id. ``fields``: what to show of each entity; None: all. ``patch``: of an entity that
    the client has, send only the fields that changed.
    """

    topics: frozenset[str]
    filter: EntityFilter | None = None
    since: Position | None = None
    merge: bool = True
    id: SubscriptionId | None = None
    fields: FieldSelection | None = None
    patch: bool = False

    @property
    def selection(self) -> Selection | None:
        """Return what it selects of the topics; None: it takes all."""
        if self.filter is None and self.fields is None:
            return None
        return Selection(self.filter, self.fields)

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

    ``since``: the position of the answer that the client has. ``id``: as for topics.
    """

    command: Command
    arguments: Arguments
    since: Position | None = None
    id: SubscriptionId | None = None


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Represent the wish to end a subscription. ``id``: None: the one without an id."""

    id: SubscriptionId | None


@dataclass(frozen=True, slots=True)
class Ping:
    """Represent a ping; the pong repeats its ``at``."""

    at: int | float | str | None


ClientMessage: TypeAlias = Subscribe | Watch | Unsubscribe | Ping

OF_TOPICS: Final = ("topics", "filter", "fields", "merge", "patch")
"""Fields of a subscription to topics alone."""
_FIELDS = {
    "subscribe": {"type", "id", *OF_TOPICS, "since", "query", "params"},
    "unsubscribe": {"type", "id"},
    "ping": {"type", "at"},
}
LONGEST_ID: Final = 64
LARGEST_ID: Final = 2**53 - 1
"""The largest whole number that JavaScript holds exactly."""
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
        raise BadMessage(f"The type must be subscribe, unsubscribe or ping, not {_short(kind)}.")
    id_ = None if kind == "ping" else _id(message.get("id"))
    try:
        for name in message:
            if name not in _FIELDS[kind]:
                raise BadMessage(f"A message of type {kind} has no field {_short(name)}.")
        match kind:
            case "subscribe":
                return replace(_subscribe(message, rights), id=id_)
            case "unsubscribe":
                return Unsubscribe(id_)
            case _:
                return _ping(message)
    except BadMessage as error:
        error.id = id_
        raise


def _id(id_: object) -> SubscriptionId | None:
    match id_:
        case None:
            return None
        case str() if 1 <= len(id_) <= LONGEST_ID:
            return id_
        case int() if not isinstance(id_, bool) and 0 <= id_ <= LARGEST_ID:
            return id_
    raise BadMessage(
        f"id must be a text of 1 to {LONGEST_ID} characters or a whole number from 0 to "
        f"{LARGEST_ID}, not {_short(id_)}."
    )


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
            case "since" | "merge" | "patch" if not value:
                continue  # left open, as in the addresses of queries
            case "topics" | "fields":
                message[name] = _split(value)
            case "since":
                epoch, _, seq = value.rpartition("/")
                message["since"] = {
                    "epoch": epoch,
                    "seq": int(seq) if seq.isdecimal() and len(seq) < 19 else None,
                }
            case "merge" | "patch":
                message[name] = {"true": True, "false": False}.get(value)
            case _ if name in FILTER_FIELDS:
                message["filter"][name] = _split(value)
            case _:
                known = ", ".join(("topics", "fields", "since", "merge", "patch", *FILTER_FIELDS))
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
        if any(name in message for name in OF_TOPICS):
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
    return Subscribe(
        topics,
        _filter(message.get("filter")),
        _position(message.get("since")),
        _flag(message, "merge", usual=True),
        fields=_selection(message.get("fields"), topics),
        patch=_flag(message, "patch", usual=False),
    )


def _flag(message: Mapping[str, Any], name: str, *, usual: bool) -> bool:
    value = message.get(name, usual)
    if not isinstance(value, bool):
        raise BadMessage(f"{name} must be true or false.")
    return value


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
            "contacts have their own position: subscribe to them alone, with an id of its own or "
            "on another connection."
        )
    if not wanted.isdisjoint(FLEET_TOPICS) and not wanted <= FLEET_TOPICS.keys():
        raise BadMessage(
            "pbxs have their own position: subscribe to them alone, with an id of its own or on "
            "another connection."
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


def _selection(given: object, topics: Collection[str]) -> FieldSelection | None:
    try:
        return selection_of(given, topics)
    except BadFields as error:
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
