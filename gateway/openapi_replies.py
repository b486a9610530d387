"""What commands answer that are carried out at the PBX, for the documents: the shapes, and an example of each. Pure."""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET, Struct, UnsetType


class Done(Struct, frozen=True):
    """The answer of a command that was carried out."""

    result: bool
    """True. ``ext.queueglobal.set`` answers false, and changes nothing, where forwarding statuses govern queue
    login."""


class Changed(Struct, frozen=True):
    """The answer of a command that sets fields."""

    result: bool
    unsupported: tuple[str, ...] | UnsetType = UNSET
    """Fields that were asked for but that this PBX does not have: all others were set."""


class CallMade(Struct, frozen=True, rename="camel"):
    """The answer of ``makecall``."""

    result: bool
    final_status: str
    callid: int | UnsetType = UNSET
    """The call's id, where the PBX tells it."""


class ContactMade(Struct, frozen=True):
    """The answer of ``contact.new``."""

    result: bool
    id: int
    """The new contact's id."""
    unsupported: tuple[str, ...] | UnsetType = UNSET
    """Fields that were asked for but that this PBX does not have: all others were set."""


class Rows(Struct, frozen=True):
    """The answer of ``query``."""

    count: int
    rows: tuple[dict[str, Any], ...]
    """Column by name; at most as many rows as were asked for."""


def reply_of(command: str) -> Struct:
    """An example of what the command answers when it was carried out; its class is the shape of all its answers."""
    return _REPLIES.get(command, _DONE)


_DONE: Final = Done(True)
_RECORDING: Final = {"recording_url": "101/101_103_20260304081502(46874).wav", "cl_participants_id": 7}
_REPLIES: Final[dict[str, Struct]] = {
    "ext.update": Changed(True, ("reinvite",)),
    "ext.new": Changed(True),
    "contact.update": Changed(True),
    "contact.new": ContactMade(True, 41),
    "makecall": CallMade(True, "Success", 46876),
    "query": Rows(1, (_RECORDING,)),
}
