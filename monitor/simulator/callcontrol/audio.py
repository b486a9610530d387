"""Stream audio at a route point: the caller's voice, and what the program plays to the caller.

Both are PCM, signed 16 bits, 8000 Hz, mono, in an endless stream of chunks. The caller hums one low
tone until the call ends. Audio that the program plays is only measured, not kept. Call Control
sends an event at the moment at which the caller would have heard the last of it. Streams end with
the participant.
"""

from __future__ import annotations

import array
import asyncio
import math
from collections.abc import Callable, Coroutine
from typing import Any, Final

from starlette.types import Message, Receive, Send

from monitor.shared.tasks import end
from monitor.simulator.calls.switchboard import Event, ParticipantRemove, Switchboard

_RATE: Final = 8000
_BYTES_A_SECOND: Final = 2 * _RATE
_CHUNK_S: Final = 0.04
"""Seconds of audio in one chunk."""
_TONE: Final = 400
"""Frequency in hertz. A chunk holds a whole number of periods, so chunks join without a click."""
_LOUDNESS: Final = 2000

_HUM: Final = array.array(
    "h",
    (
        round(_LOUDNESS * math.sin(2 * math.pi * _TONE * i / _RATE))
        for i in range(round(_RATE * _CHUNK_S))
    ),
)


class Streams:
    """Stream audio from and to participants, by id."""

    def __init__(self, switchboard: Switchboard) -> None:
        self._switchboard = switchboard
        self._ends: dict[int, set[asyncio.Event]] = {}
        self._playing: set[asyncio.TimerHandle] = set()
        switchboard.listen(self._heard)

    def clear(self) -> None:
        """Forget all audio that is being played, as when the PBX stops."""
        for timer in self._playing:
            timer.cancel()
        self._playing.clear()

    async def listen(self, participant_id: int, receive: Receive, send: Send) -> None:
        """Answer with the caller's voice until the caller or the listener is gone."""
        headers = [(b"content-type", b"application/octet-stream")]
        clock = asyncio.get_running_loop().time
        due = clock()
        chunk = _little_endian(_HUM)
        async with _Ending(self._ends, participant_id, _left(receive)) as ended:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            while not ended():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                due += _CHUNK_S
                await ended.wait(due - clock())
        await send({"type": "http.response.body", "body": b""})

    async def play(self, dn: str, participant_id: int, receive: Receive, send: Send) -> None:
        """Read what the program plays until it ends or the caller is gone.

        If the program goes away early, the part that it sent counts as played.
        """
        loop = asyncio.get_running_loop()
        began, taken = loop.time(), 0

        def take(size: int) -> None:
            nonlocal taken
            taken += size

        async with _Ending(self._ends, participant_id, _all(receive, take)) as ended:
            await ended.wait(None)
        if self._switchboard.participant(dn, participant_id) is not None:
            self._plan_end(dn, participant_id, began + taken / _BYTES_A_SECOND)
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]}
        )
        await send({"type": "http.response.body", "body": b""})

    def _plan_end(self, dn: str, participant_id: int, moment: float) -> None:
        def over() -> None:
            self._playing.discard(timer)
            self._switchboard.played(dn, participant_id)

        timer = asyncio.get_running_loop().call_at(moment, over)
        self._playing.add(timer)

    def _heard(self, event: Event) -> None:
        if isinstance(event, ParticipantRemove):
            for gone in self._ends.get(event.participant_id, ()):
                gone.set()


class _Ending:
    """Wait for the end of a participant, or of what the client does.

    Calling it returns True after either end. It must be entered before the participant's end: an
    earlier end is not seen.
    """

    def __init__(
        self, ends: dict[int, set[asyncio.Event]], key: int, client: Coroutine[Any, Any, None]
    ) -> None:
        self._ends, self._key = ends, key
        self._gone = asyncio.Event()
        self._tasks = (asyncio.create_task(self._gone.wait()), asyncio.create_task(client))

    def __call__(self) -> bool:
        return any(task.done() for task in self._tasks)

    async def wait(self, seconds: float | None) -> None:
        """Wait for the end, at most ``seconds``. None: no limit."""
        await asyncio.wait(
            self._tasks,
            timeout=None if seconds is None else max(0.0, seconds),
            return_when=asyncio.FIRST_COMPLETED,
        )

    async def __aenter__(self) -> _Ending:
        self._ends.setdefault(self._key, set()).add(self._gone)
        return self

    async def __aexit__(self, *_: object) -> None:
        waiting = self._ends[self._key]
        waiting.discard(self._gone)
        if not waiting:
            del self._ends[self._key]
        await end(self._tasks)


async def _left(receive: Receive) -> None:
    """Return when the client has gone."""
    message: Message = {"type": ""}
    while message["type"] != "http.disconnect":
        message = await receive()


async def _all(receive: Receive, take: Callable[[int], None]) -> None:
    """Read the body until it is complete or its client has gone.

    ``take`` receives the number of bytes of each part.
    """
    more = True
    while more:
        message = await receive()
        take(len(message.get("body", b"")))
        more = message.get("more_body", False)


def _little_endian(samples: array.array[int]) -> bytes:
    return b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples)
