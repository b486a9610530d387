"""Encode and compress an answer once for all clients that ask the same at a position. Pure."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

from gateway.transport.compression import gzipped
from monitor.shared.changes import Position
from monitor.shared.codec import to_json

_CACHED_ANSWERS = 256
_MILLISECONDS = re.compile(
    rb'("(?:[A-Za-z]*[Ss]ince|[A-Za-z]+At)":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.\d{3}(?=Z")'
)
"""An instant in a JSON answer, by its field's name. In a text its quotation marks have a backslash
before them, so that nothing in a text is found."""


_CACHED_BYTES = 8 * 1024 * 1024


_LARGEST_CACHED_BYTES = 2 * 1024 * 1024
MOST_CACHED_BYTES: Final = 64 * 1024 * 1024
"""Bytes of the answers that all caches of a gateway keep together."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold an encoded answer and the position of the state that it was made from."""

    body: bytes
    etag: str
    position: Position
    _gzipped: list[bytes | None] = field(default_factory=list, compare=False, repr=False)

    def gzipped(self) -> bytes | None:
        """Return the body in gzip, made when it is first asked for; None if not worth it."""
        if not self._gzipped:
            self._gzipped.append(gzipped(self.body))
        return self._gzipped[0]


class CachedBytes:
    """Count the bytes that several caches keep together, as a key may ask many PBXs.

    While they keep too many, the caches are emptied that took up nothing for longest.
    """

    def __init__(self, most: int = MOST_CACHED_BYTES) -> None:
        self.bytes = 0
        self._most = most
        self._caches: OrderedDict[AnswerCache, int] = OrderedDict()

    def note(self, cache: AnswerCache, size: int) -> None:
        """Note that this cache keeps so many bytes now."""
        self.bytes += size - self._caches.pop(cache, 0)
        if size:
            self._caches[cache] = size
        while self.bytes > self._most and len(self._caches) > 1:
            next(iter(self._caches)).forget()


class AnswerCache:
    """Keep the answers of one space of one PBX at its present position.

    When the position changes, all answers are forgotten. The cache is bounded in number and
    bytes: the answers that were not asked for longest go first. What is compressed of them is not
    counted; it is smaller than they are. ``together``: counts what it keeps with other caches.
    """

    def __init__(
        self,
        entries: int = _CACHED_ANSWERS,
        size: int = _CACHED_BYTES,
        together: CachedBytes | None = None,
    ) -> None:
        self._together = CachedBytes() if together is None else together
        self._entries = entries
        self._size = size
        self._position: Position | None = None
        self._answers: OrderedDict[Hashable, Answer] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._answers)

    def forget(self) -> None:
        """Forget all answers."""
        self._answers.clear()
        self._position, self._bytes = None, 0
        self._together.note(self, 0)

    def answer(
        self,
        question: Hashable,
        position: Position,
        make: Callable[[], object],
        *,
        seconds: bool = False,
    ) -> Answer:
        """Return the answer to ``question`` at ``position``: a kept one, or what ``make`` makes.

        ``seconds``: as in :func:`encode`. It must be a part of the question.
        """
        if position != self._position:
            self.forget()
            self._position = position
        kept = self._answers.get(question)
        if kept is not None:
            self._answers.move_to_end(question)
            return kept
        answer = encode(make(), position, seconds=seconds)
        self._keep(question, answer)
        return answer

    def _keep(self, question: Hashable, answer: Answer) -> None:
        if len(answer.body) > min(_LARGEST_CACHED_BYTES, self._size):
            return
        self._answers[question] = answer
        self._bytes += len(answer.body)
        while self._bytes > self._size or len(self._answers) > self._entries:
            _, oldest = self._answers.popitem(last=False)
            self._bytes -= len(oldest.body)
        self._together.note(self, self._bytes)


def encode(value: object, position: Position, *, seconds: bool = False) -> Answer:
    """Return the answer as JSON, with its entity tag.

    ``seconds``: whether instants are written in whole seconds, as ``2026-03-04T03:15:00Z``.
    """
    body = to_json(value)
    if seconds:
        body = _MILLISECONDS.sub(rb"\1", body)
    return Answer(body, f'"{blake2b(body, digest_size=16).hexdigest()}"', position)
