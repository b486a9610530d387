"""Encode and decode the web client's messages ("MyPhone"), as far as queue logins need them.

Pure except for the protobuf library. 3CX publishes no ``.proto`` file; the field numbers are those
seen in use with 20.0.8 and 20.0.9. The descriptions stand here in code, so that no generated file
and no compiler is needed. Both the client and the simulated PBX use them.

Rules of the protocol:

- Field 1 of a message is its number; the field of that number holds its content.
- A list comes whole or as a change of what was sent before: see :class:`Action`. A changed entry
  has its id and the fields that changed.
- Unknown fields are skipped. Text that is not UTF-8 makes the whole message invalid: the library
  sees to that, as in proto3.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message

LOGIN: Final = 100
GET_MY_INFO: Final = 102
DROP_CALL: Final = 115
MAKE_CALL: Final = 119
SET_QUEUE_STATUS: Final = 132
MY_INFO: Final = 201
ACKNOWLEDGEMENT: Final = 207
"""Number of the answer that says what became of a command."""
QUEUES_INFO: Final = 211

MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024
"""Bytes of a message. Small parts of a protobuf message take some thirty times that in memory."""
MAX_QUEUES: Final = 1_000
MAX_AGENTS: Final = 50_000
"""Agents of all queues in one message, and calls of one extension."""
_MAX_TEXT_CHARS: Final = 200
"""Characters that are kept of a name or number."""

_FIGURES: Final = {
    4: "waiting",
    5: "ringing",
    8: "offered",
    9: "answered",
    11: "abandoned",
    12: "average_wait",
    13: "longest_wait",
}
_DECIMAL: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,6})?", re.ASCII)

_Field = descriptor_pb2.FieldDescriptorProto
_PACKAGE: Final = "callmon.webclient"
_INT, _BOOL, _TEXT, _PART = (
    _Field.TYPE_INT32,
    _Field.TYPE_BOOL,
    _Field.TYPE_STRING,
    _Field.TYPE_MESSAGE,
)
_MESSAGES: Final[dict[str, dict[int, tuple[str, Any, str]]]] = {
    "Empty": {},
    "Acknowledgement": {
        1: ("success", _BOOL, ""),
        2: ("code", _INT, ""),
        3: ("text", _TEXT, ""),
        5: ("exception", _TEXT, ""),
    },
    "MakeCall": {
        1: ("destination", _TEXT, ""),
        3: ("device_id", _TEXT, ""),
        4: ("enable_call_control", _BOOL, ""),
    },
    "DropCall": {1: ("connection_id", _INT, "")},
    "SetQueueStatus": {
        1: ("queue_id", _INT, ""),
        2: ("agent_id", _INT, ""),
        3: ("logged_in", _BOOL, ""),
    },
    "Connection": {
        1: ("action", _INT, ""),
        2: ("id", _INT, ""),
        5: ("state", _INT, ""),
        11: ("party", _TEXT, ""),
        12: ("incoming", _BOOL, ""),
    },
    "Connections": {1: ("action", _INT, ""), 2: ("items", _PART, "*Connection")},
    "MyInfo": {
        1: ("action", _INT, ""),
        2: ("id", _INT, ""),
        3: ("number", _TEXT, ""),
        6: ("queue_status", _BOOL, ""),
        18: ("connections", _PART, "Connections"),
    },
    "Agent": {
        1: ("action", _INT, ""),
        2: ("id", _INT, ""),
        3: ("extension", _TEXT, ""),
        8: ("logged_in", _BOOL, ""),
    },
    "Agents": {1: ("action", _INT, ""), 2: ("items", _PART, "*Agent")},
    "Figures": {number: (name, _TEXT, "") for number, name in _FIGURES.items()},
    "Queue": {
        1: ("action", _INT, ""),
        2: ("id", _INT, ""),
        3: ("name", _TEXT, ""),
        4: ("number", _TEXT, ""),
        5: ("agents", _PART, "Agents"),
        6: ("figures", _PART, "Figures"),
    },
    "QueuesInfo": {1: ("action", _INT, ""), 2: ("queues", _PART, "*Queue")},
    "GenericMessage": {
        1: ("message_id", _INT, ""),
        LOGIN: ("login", _PART, "Empty"),
        GET_MY_INFO: ("get_my_info", _PART, "Empty"),
        DROP_CALL: ("drop_call", _PART, "DropCall"),
        MAKE_CALL: ("make_call", _PART, "MakeCall"),
        SET_QUEUE_STATUS: ("set_queue_status", _PART, "SetQueueStatus"),
        MY_INFO: ("my_info", _PART, "MyInfo"),
        ACKNOWLEDGEMENT: ("acknowledgement", _PART, "Acknowledgement"),
        QUEUES_INFO: ("queues_info", _PART, "QueuesInfo"),
    },
}
"""Message → field number → name, type, message type (``*``: repeated)."""


class NotAMessage(ValueError):
    """Signal that the data is not a message of this protocol."""


class Action(IntEnum):
    """Say what a list or an entry does to what was sent before.

    The numbers are those of 3CX's own click-to-call client.
    """

    NONE = 0
    FULL = 1
    INSERTED = 2
    UPDATED = 3
    DELETED = 4


@dataclass(frozen=True, slots=True)
class AgentEntry:
    """Represent an agent of a queue. ``logged_in`` None: not in the message."""

    id: int
    extension: str = ""
    logged_in: bool | None = None
    action: int = Action.NONE


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """Represent a queue. Empty texts and None: not in the message.

    ``figures``: name → the PBX's own figure; see the field table for the names. Waits are seconds.
    """

    id: int
    number: str = ""
    name: str = ""
    agents: tuple[AgentEntry, ...] | None = None
    figures: Mapping[str, float] | None = None
    action: int = Action.NONE
    agents_action: int = Action.NONE


@dataclass(frozen=True, slots=True)
class QueuesUpdate:
    """Hold the content of ``QueuesInfo``: all queues, or what changed."""

    queues: tuple[QueueEntry, ...]
    action: int = Action.FULL


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Hold what the PBX says became of a command. ``code``: one of 3CX's error codes."""

    success: bool
    code: int
    text: str


@dataclass(frozen=True, slots=True)
class ConnectionEntry:
    """Represent a call of one's own extension. ``state``: 1 ringing, 2 dialling, 3 connected."""

    id: int
    state: int
    party: str
    incoming: bool


def decode(data: bytes) -> Any:
    """Return the GenericMessage in ``data``. Raises NotAMessage."""
    if len(data) > MAX_MESSAGE_BYTES:
        raise NotAMessage(f"larger than {MAX_MESSAGE_BYTES} bytes")
    message = _generic()
    try:
        message.ParseFromString(data)
    except (DecodeError, UnicodeDecodeError, ValueError) as error:
        raise NotAMessage("not a message of the web client's protocol") from error
    queues = message.queues_info.queues
    too_many = len(queues) > MAX_QUEUES or len(message.my_info.connections.items) > MAX_AGENTS
    if too_many or sum(len(queue.agents.items) for queue in queues) > MAX_AGENTS:
        raise NotAMessage(f"more than {MAX_QUEUES} queues or {MAX_AGENTS} agents")
    return message


def queues_update(message: Any) -> QueuesUpdate | None:
    """Return the queues in a decoded message, or None if it is not about queues."""
    if not message.HasField("queues_info"):
        return None
    told = message.queues_info
    return QueuesUpdate(tuple(_queue_entry(queue) for queue in told.queues), told.action)


def acknowledged(message: Any) -> Acknowledgement | None:
    """Return the acknowledgement in a decoded message, or None if it holds none."""
    said = message.acknowledgement
    if not said.HasField("success"):
        return None
    return Acknowledgement(said.success, said.code, said.text or said.exception)


def login() -> bytes:
    """Return the message ``Login``."""
    return _empty(LOGIN, "login")


def get_my_info() -> bytes:
    """Return the message ``GetMyInfo``; ``MyInfo`` answers it, and ``QueuesInfo`` may follow."""
    return _empty(GET_MY_INFO, "get_my_info")


def make_call(destination: str, device_id: str = "") -> bytes:
    """Return the message ``MakeCall``. ``device_id``: empty for the default device."""
    message = _generic()
    message.message_id = MAKE_CALL
    message.make_call.destination = destination
    if device_id:
        message.make_call.device_id = device_id
    message.make_call.enable_call_control = True
    return bytes(message.SerializeToString())


def drop_call(connection_id: int) -> bytes:
    """Return the message ``DropCall`` for a call in ``MyInfo``."""
    message = _generic()
    message.message_id = DROP_CALL
    message.drop_call.connection_id = connection_id
    return bytes(message.SerializeToString())


def set_queue_status(queue_id: int, agent_id: int, *, logged_in: bool) -> bytes:
    """Return the message ``SetQueueStatus``.

    ``queue_id``, ``agent_id``: ids of the queue and the user in the XAPI.
    """
    message = _generic()
    message.message_id = SET_QUEUE_STATUS
    asked = message.set_queue_status
    asked.queue_id, asked.agent_id, asked.logged_in = queue_id, agent_id, logged_in
    return bytes(message.SerializeToString())


def my_info(
    id_: int, number: str, *, queue_status: bool, connections: Iterable[ConnectionEntry] = ()
) -> bytes:
    """Return the message ``MyInfo`` about the session's own extension, with all its calls."""
    message = _generic()
    message.message_id = MY_INFO
    told = message.my_info
    told.action, told.id, told.number, told.queue_status = Action.FULL, id_, number, queue_status
    told.connections.action = Action.FULL
    for entry in connections:
        row = told.connections.items.add()
        row.action, row.id, row.state = Action.FULL, entry.id, entry.state
        row.party, row.incoming = entry.party, entry.incoming
    return bytes(message.SerializeToString())


def queues_info(update: QueuesUpdate) -> bytes:
    """Return the message ``QueuesInfo``."""
    message = _generic()
    message.message_id = QUEUES_INFO
    message.queues_info.action = update.action
    for entry in update.queues:
        queue = message.queues_info.queues.add()
        queue.action, queue.id = entry.action, entry.id
        if entry.name:
            queue.name = entry.name
        if entry.number:
            queue.number = entry.number
        if entry.agents is not None:
            queue.agents.action = entry.agents_action
            for known in entry.agents:
                agent = queue.agents.items.add()
                agent.action, agent.id = known.action, known.id
                if known.extension:
                    agent.extension = known.extension
                if known.logged_in is not None:
                    agent.logged_in = known.logged_in
        for name, value in (entry.figures or {}).items():
            setattr(queue.figures, name, f"{value:.1f}".removesuffix(".0"))
    return bytes(message.SerializeToString())


def acknowledgement(*, success: bool, text: str, code: int = 0) -> bytes:
    """Return the answer to a command."""
    message = _generic()
    message.message_id = ACKNOWLEDGEMENT
    said = message.acknowledgement
    said.success, said.code, said.text = success, code, text
    return bytes(message.SerializeToString())


def _queue_entry(queue: Any) -> QueueEntry:
    agents = None
    if queue.HasField("agents"):
        agents = tuple(
            AgentEntry(
                agent.id,
                agent.extension[:_MAX_TEXT_CHARS],
                agent.logged_in if agent.HasField("logged_in") else None,
                agent.action,
            )
            for agent in queue.agents.items
        )
    figures = None
    if queue.HasField("figures"):
        told = {name: getattr(queue.figures, name).strip() for name in _FIGURES.values()}
        figures = {name: float(text) for name, text in told.items() if _DECIMAL.fullmatch(text)}
    return QueueEntry(
        queue.id,
        queue.number[:_MAX_TEXT_CHARS],
        queue.name[:_MAX_TEXT_CHARS],
        agents,
        figures,
        queue.action,
        queue.agents.action,
    )


def _empty(message_id: int, name: str) -> bytes:
    message = _generic()
    message.message_id = message_id
    getattr(message, name).SetInParent()
    return bytes(message.SerializeToString())


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="callmon/webclient.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        described = file.message_type.add(name=name)
        for number, (field, kind, of) in fields.items():
            repeated = of.startswith("*")
            added = described.field.add(
                name=field,
                number=number,
                type=kind,
                label=_Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL,
                type_name=f".{_PACKAGE}.{of.removeprefix('*')}" if of else None,
            )
            if not of:  # so that it can be told whether the message has the field
                added.proto3_optional = True
                added.oneof_index = len(described.oneof_decl)
                described.oneof_decl.add(name=f"_{field}")
    return file


_pool = descriptor_pool.DescriptorPool()
_pool.Add(_file())  # type: ignore[no-untyped-call,unused-ignore]
_Generic: type[Message] = message_factory.GetMessageClass(
    _pool.FindMessageTypeByName(f"{_PACKAGE}.GenericMessage")
)


def _generic() -> Any:
    return _Generic()
