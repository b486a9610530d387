"""Encode and decode the web client's messages ("MyPhone"), as far as queue logins need them.

Pure except for the protobuf library. 3CX's own ``.proto`` file is not published; the field numbers
are those seen in use with 20.0.8. The descriptions stand here in code, so that no generated file
and no compiler is needed. Both the client and the simulated PBX use them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message

LOGIN: Final = 100
GET_MY_INFO: Final = 102
SET_QUEUE_STATUS: Final = 132
QUEUES_INFO: Final = 211
DONE: Final = 300
"""Number of the answer whose text says what became of a command. 3CX's real number is not known,
so a client looks only for the text."""

_Field = descriptor_pb2.FieldDescriptorProto
_PACKAGE: Final = "callmon.webclient"
_MESSAGES: Final[dict[str, dict[int, tuple[str, Any, str]]]] = {
    "Empty": {},
    "Done": {1: ("text", _Field.TYPE_STRING, "")},
    "SetQueueStatus": {
        1: ("queue_id", _Field.TYPE_INT32, ""),
        2: ("agent_id", _Field.TYPE_INT32, ""),
        3: ("logged_in", _Field.TYPE_BOOL, ""),
    },
    "Agent": {
        2: ("id", _Field.TYPE_INT32, ""),
        3: ("extension", _Field.TYPE_STRING, ""),
        8: ("logged_in", _Field.TYPE_INT32, ""),
    },
    "Agents": {2: ("items", _Field.TYPE_MESSAGE, "*Agent")},
    "Queue": {4: ("number", _Field.TYPE_STRING, ""), 5: ("agents", _Field.TYPE_MESSAGE, "Agents")},
    "QueuesInfo": {2: ("queues", _Field.TYPE_MESSAGE, "*Queue")},
    "GenericMessage": {
        1: ("message_id", _Field.TYPE_INT32, ""),
        LOGIN: ("login", _Field.TYPE_MESSAGE, "Empty"),
        GET_MY_INFO: ("get_my_info", _Field.TYPE_MESSAGE, "Empty"),
        SET_QUEUE_STATUS: ("set_queue_status", _Field.TYPE_MESSAGE, "SetQueueStatus"),
        QUEUES_INFO: ("queues_info", _Field.TYPE_MESSAGE, "QueuesInfo"),
        DONE: ("done", _Field.TYPE_MESSAGE, "Done"),
    },
}
"""Message → field number → name, type, message type (``*``: repeated)."""


class NotAMessage(ValueError):
    """Signal that the data is no message of this protocol."""


def decode(data: bytes) -> Any:
    """Return the GenericMessage in ``data``. Raises NotAMessage."""
    message = _generic()
    try:
        message.ParseFromString(data)
    except (DecodeError, UnicodeDecodeError, ValueError) as error:
        raise NotAMessage("not a message of the web client's protocol") from error
    if not _whole(message):
        raise NotAMessage("not UTF-8")
    return message


def login() -> bytes:
    """Return the message ``Login``."""
    return _empty(LOGIN, "login")


def get_my_info() -> bytes:
    """Return the message ``GetMyInfo``; its answer is ``QueuesInfo``."""
    return _empty(GET_MY_INFO, "get_my_info")


def set_queue_status(queue_id: int, agent_id: int, *, logged_in: bool) -> bytes:
    """Return the message ``SetQueueStatus``.

    ``queue_id``, ``agent_id``: ids of the queue and the user in the XAPI.
    """
    message = _generic()
    message.message_id = SET_QUEUE_STATUS
    asked = message.set_queue_status
    asked.queue_id, asked.agent_id, asked.logged_in = queue_id, agent_id, logged_in
    return bytes(message.SerializeToString())


def queues_info(queues: Mapping[str, Mapping[str, tuple[int, bool]]]) -> bytes:
    """Return the message ``QueuesInfo``.

    ``queues``: queue's number → extension → id of its user, and True if the user is logged in.
    """
    message = _generic()
    message.message_id = QUEUES_INFO
    message.queues_info.SetInParent()
    for number, agents in queues.items():
        queue = message.queues_info.queues.add()
        queue.number = number
        queue.agents.SetInParent()
        for extension, (id_, logged_in) in agents.items():
            agent = queue.agents.items.add()
            agent.id, agent.extension, agent.logged_in = id_, extension, int(logged_in)
    return bytes(message.SerializeToString())


def done(text: str) -> bytes:
    """Return the answer to a command."""
    message = _generic()
    message.message_id = DONE
    message.done.text = text
    return bytes(message.SerializeToString())


def _whole(message: Message) -> bool:
    """Return whether all text is valid UTF-8.

    The library returns text that is not UTF-8 as bytes.
    """
    for _, value in message.ListFields():
        for each in (
            value
            if isinstance(value, Iterable) and not isinstance(value, str | bytes)
            else (value,)
        ):
            if isinstance(each, bytes) or (isinstance(each, Message) and not _whole(each)):
                return False
    return True


def _empty(message_id: int, name: str) -> bytes:
    message = _generic()
    message.message_id = message_id
    getattr(message, name).SetInParent()
    return bytes(message.SerializeToString())


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="callmon/webclient.proto", package=_PACKAGE, syntax="proto2"
    )
    for name, fields in _MESSAGES.items():
        described = file.message_type.add(name=name)
        for number, (field, kind, of) in fields.items():
            repeated = of.startswith("*")
            described.field.add(
                name=field,
                number=number,
                type=kind,
                label=_Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL,
                type_name=f".{_PACKAGE}.{of.removeprefix('*')}" if of else None,
            )
    return file


_pool = descriptor_pool.DescriptorPool()
_pool.Add(_file())  # type: ignore[no-untyped-call,unused-ignore]
_Generic: type[Message] = message_factory.GetMessageClass(
    _pool.FindMessageTypeByName(f"{_PACKAGE}.GenericMessage")
)


def _generic() -> Any:
    return _Generic()
