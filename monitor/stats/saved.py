"""What is counted of a day, as it is kept and handed to the next monitor."""

from __future__ import annotations

import msgspec
from msgspec import Struct, field

from monitor.model.wire import Malformed
from monitor.stats.accounts import Held
from monitor.stats.day import Day
from monitor.stats.tallies import Tallies

VERSION = 1


class Saved(Struct):
    """All that is counted. Of two the one with the greater ``at`` is the newer. Times are POSIX milliseconds."""

    version: int = VERSION
    at: int = 0
    """Until when it was counted."""
    day: Day | None = None
    """None before the first fact."""
    counted_since: int = 0
    peak: int = 0
    peak_at: int | None = None
    tallies: Tallies = field(default_factory=Tallies)
    held: Held = field(default_factory=Held)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Saved)


def encode(saved: Saved) -> bytes:
    """What is counted, in msgpack: some tens of bytes a call of the day, a kilobyte a call that goes on."""
    return _encoder.encode(saved)


def decode(data: bytes) -> Saved:
    """What :func:`encode` wrote. Raises Malformed, also if another version wrote it."""
    try:
        saved = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Malformed(f"not a day's figures: {error}") from error
    if saved.version != VERSION:
        raise Malformed(f"figures of version {saved.version}, this is {VERSION}")
    return saved
