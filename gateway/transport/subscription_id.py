"""Put a subscription's id at the head of messages that many subscriptions share. Pure.

A frame is an object whose encoding begins with one byte: ``{`` in JSON, and in msgpack the byte
that counts its fields. In place of that byte a frame of a subscription with an id has a *head*: the
byte, and the field ``id``. All after it is the same for all clients of the view, with an id or
without. So the frame is encoded once, and what follows the head is compressed once.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from monitor.shared.codec import to_json, to_msgpack

SubscriptionId: TypeAlias = str | int

REPLACED: Final = 1
"""Bytes at a message's beginning that the head replaces."""


class IdHead:
    """Make the heads of one subscription's messages."""

    __slots__ = ("_json", "_msgpack", "id")

    def __init__(self, id_: SubscriptionId) -> None:
        self.id = id_
        self._json = b'{"id":' + to_json(id_) + b","
        self._msgpack = to_msgpack("id") + to_msgpack(id_)

    def before(self, payload: bytes, *, text: bool) -> bytes:
        """Return the head of this message. A frame has at most 14 fields, so msgpack can count on.

        ``text``: whether it is JSON.
        """
        return self._json if text else bytes((payload[0] + 1,)) + self._msgpack

    def whole(self, message: str | bytes) -> str | bytes:
        """Return the message with the id."""
        if isinstance(message, str):
            return self._json.decode() + message[REPLACED:]
        return self.before(message, text=False) + message[REPLACED:]
