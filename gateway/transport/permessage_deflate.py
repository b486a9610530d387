"""Agree on compression with a WebSocket's client, and inflate what it sends (RFC 7692). Pure.

- Neither side keeps anything from one message to the next ("no context takeover"), in both
  directions. So the server's messages are the same bytes for all clients, and a connection holds
  no memory for compression.
- A client may ask for a small window. It gets larger messages uncompressed.
- What a client sends is bounded by its bytes before and after inflating. Nothing is inflated
  beyond the bound. A message that is larger closes the connection as any other that is too large.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Sequence
from typing import Final

from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.extensions.base import Extension
from websockets.extensions.permessage_deflate import (
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)
from websockets.frames import CTRL_OPCODES, Frame, Opcode
from websockets.typing import ExtensionParameter

from gateway.transport.compression import FLUSHED, MESSAGES

_MOST_BITS: Final = 15
_INFLATER_BYTES: Final = 40 * 1024
"""Bytes of zlib's window and state for a message that is being inflated."""
_MAY_FOLLOW: Final = (b"", FLUSHED, b"\x00" + FLUSHED)
"""Bytes that may follow the last block of a message (RFC 7692, 7.2.3.4)."""


class SharedDeflate(PerMessageDeflate):
    """Compress and inflate the messages of one connection.

    ``received_bits``, ``sent_bits``: base-2 logarithms of the windows of the client's and the
    server's messages.
    """

    def __init__(self, received_bits: int, sent_bits: int) -> None:
        super().__init__(True, True, received_bits, sent_bits)
        self.window = sys.maxsize if sent_bits == _MOST_BITS else 1 << sent_bits
        """Bytes of the largest message that this client gets compressed."""
        self.received = 0
        """Bytes of the last data frame as it came, before inflating."""
        self._inflater: _Inflater | None = None

    @property
    def held(self) -> int:
        """Return about how many bytes a compressed message that is not whole takes of memory."""
        return 0 if self._inflater is None else self._inflater.held

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:
        """Return the client's frame, inflated.

        ``max_size``: bytes that its message may still have after inflating; None: any number.
        Raises PayloadTooBig and ProtocolError.
        """
        self.received = len(frame.data)
        if frame.opcode in CTRL_OPCODES:
            return frame
        if frame.opcode is not Opcode.CONT:
            bits = self.remote_max_window_bits
            self._inflater = _Inflater(bits, max_size) if frame.rsv1 else None
        elif frame.rsv1:
            return frame  # the bit may stand only in a message's first frame: the caller refuses it
        inflater = self._inflater
        if inflater is None:
            return frame
        data = inflater.inflate(bytes(frame.data), max_size, last=frame.fin)
        if frame.fin:
            self._inflater = None
        return Frame(frame.opcode, data, frame.fin, False, frame.rsv2, frame.rsv3)

    def encode(self, frame: Frame) -> Frame:
        """Return the server's frame: compressed if it is a message for which that is worth it."""
        whole = frame.fin and frame.opcode in (Opcode.TEXT, Opcode.BINARY)
        if not whole or len(frame.data) > self.window:
            return frame
        packed = MESSAGES.of(bytes(frame.data))
        return frame if packed is None else Frame(frame.opcode, packed, rsv1=True)


class SharedDeflateFactory(ServerPerMessageDeflateFactory):
    """Answer a client's offers of compression."""

    def __init__(self) -> None:
        super().__init__(server_no_context_takeover=True, client_no_context_takeover=True)

    def process_request_params(
        self, params: Sequence[ExtensionParameter], accepted_extensions: Sequence[Extension]
    ) -> tuple[list[ExtensionParameter], SharedDeflate]:
        """Return the parameters of the answer to an offer, and what then serves the connection.

        Raises NegotiationError for an offer that is declined.
        """
        answer, agreed = super().process_request_params(params, accepted_extensions)
        return answer, SharedDeflate(agreed.remote_max_window_bits, agreed.local_max_window_bits)


class _Inflater:
    """Inflate one message. ``most``: bytes that it may have, compressed or not; None: any."""

    __slots__ = ("_came", "_most", "_stream")

    def __init__(self, bits: int, most: int | None) -> None:
        self._stream = zlib.decompressobj(-bits)
        self._most = most
        self._came = 0

    @property
    def held(self) -> int:
        return _INFLATER_BYTES + len(self._stream.unused_data)

    def inflate(self, data: bytes, most: int | None, *, last: bool) -> bytes:
        self._came += len(data)
        if self._most is not None and self._came > self._most:
            raise PayloadTooBig(None, self._most)  # of what inflates to nothing too
        try:
            # zlib takes 0 for "any number", so it may always make one byte more than allowed.
            inflated = self._stream.decompress(
                data + FLUSHED if last else data, 0 if most is None else most + 1
            )
        except zlib.error as error:
            raise ProtocolError("the message cannot be inflated") from error
        if most is not None and len(inflated) > most:
            raise PayloadTooBig(None, most)
        if last and self._stream.unused_data not in _MAY_FOLLOW:
            raise ProtocolError("data follows the last block of the message")
        return inflated
