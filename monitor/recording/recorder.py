"""Record every answer and event, masked, as lines of a file.

Of a request, only the method and the address are kept: no token, no secret. Of the answer that gave
a token, and of the one that gave a session, only the outcome is kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import IO, Any, Final

import structlog

from monitor import myphone_messages
from monitor.pbx.traffic_tap import SentRequest
from monitor.recording import masking_rules
from monitor.recording.file_format import Header
from monitor.recording.masking import Mask
from monitor.shared.codec import Malformed, from_json, to_json

_FLUSH_EVERY_S: Final = 1.0
"""Seconds between two writes to the disk."""
_WORDS: Final = (b"NOT AUTH", b"Login is required")
"""Answers of the web client's interface in words, as far as they matter."""

_log = structlog.get_logger(__name__)


class Recorder:
    """Write what the client sends and receives to ``file``.

    It is a :class:`monitor.pbx.traffic_tap.TrafficTap`. ``mask`` None: everything is kept as it
    came, except secrets. A full disk stops the recording, not the recorded program: ``failed`` then
    says why.
    """

    def __init__(
        self,
        file: IO[bytes],
        header: Header,
        mask: Mask | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.answers = self.events = 0
        """Number of lines written."""
        self.failed = ""
        self._file, self._clock = file, clock
        self._mask = mask or _Open()
        self._began = self._flushed = clock()
        self._seen: dict[str, bytes] = {}
        self._put(header.line())

    def answered(
        self, sent: SentRequest, status: int, headers: Mapping[str, str], body: bytes
    ) -> None:
        """Write an answer."""
        self.answers += 1
        path = masking_rules.address(self._mask, sent.address)
        kept = {
            name: value for name, value in headers.items() if name.lower() in masking_rules.HEADERS
        }
        self._line(
            "answer",
            asked=self._since(sent.at),
            method=sent.method,
            path=path,
            status=status,
            headers=kept,
            **self._body(f"{sent.method} {path} {status}", path, sent.content, body),
        )

    def unanswered(self, sent: SentRequest) -> None:
        """Write that no answer came."""
        path = masking_rules.address(self._mask, sent.address)
        self._line("silence", asked=self._since(sent.at), method=sent.method, path=path)

    def opened(self) -> None:
        """Write that the socket is open."""
        self._line("opened")

    def refused(self, status: int | None) -> None:
        """Write that the socket was not opened. ``status``: None if there was no answer."""
        self._line("away", status=status)

    def heard(self, message: str | bytes) -> None:
        """Write an event."""
        self.events += 1
        self._line("event", **self._json(message.encode() if isinstance(message, str) else message))

    def closed(self, code: int | None, reason: str) -> None:
        """Write that the socket ended."""
        self._line("closed", code=code, reason=self._mask.text(reason))

    def pushed(self, message: bytes) -> None:
        """Write a message of the web client's socket that has all queues; no other."""
        told = _told(message)
        if "logins" in told:
            self._line("push", **told)

    def end(self) -> None:
        """Write the last line and close the file."""
        self._line("end")
        try:
            self._file.close()
        except OSError as error:
            self._fail(error)

    def _body(self, request: str, path: str, content: bytes | None, body: bytes) -> dict[str, Any]:
        if path == masking_rules.TOKEN:
            kept = self._json(body)
            return {"body": masking_rules.granted(kept["body"])} if "body" in kept else kept
        if path == masking_rules.SESSION:
            return {"body": {}}
        if path == masking_rules.WEB_CLIENT:
            return {"ask": _asked(content), **_told(body)}
        digest = blake2b(body, digest_size=16).digest()
        if self._seen.get(request) == digest:
            return {"same": True}
        self._seen[request] = digest
        return self._json(body)

    def _json(self, content: bytes) -> dict[str, Any]:
        if content:
            try:
                return {"body": masking_rules.body(self._mask, from_json(content))}
            except Malformed:
                pass
        return {"bytes": len(content)}

    def _line(self, kind: str, **said: Any) -> None:
        self._put({"t": self._since(self._clock()), "kind": kind, **said})

    def _put(self, row: dict[str, Any]) -> None:
        if self.failed:
            return
        try:
            self._file.write(to_json(row) + b"\n")
            if self._clock() - self._flushed >= _FLUSH_EVERY_S:
                self._flushed = self._clock()
                self._file.flush()
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        self.failed = error.strerror or str(error)
        _log.error("recording_failure", reason=self.failed)

    def _since(self, moment: float) -> float:
        return round(moment - self._began, 6)


class _Open(Mask):
    """Hide nothing."""

    def __init__(self) -> None:
        super().__init__(b"")

    def number(self, text: str) -> str:
        return text

    def text(self, text: str) -> str:
        return text


def _asked(content: bytes | None) -> int:
    """Return which message was sent to the web client's interface; 0 if it is something else."""
    try:
        return int(myphone_messages.decode(content or b"").message_id)
    except myphone_messages.NotAMessage:
        return 0


def _told(body: bytes) -> dict[str, Any]:
    """Return what is kept of the web client's answer: the logins, or a word.

    Of anything else only the number of bytes is kept.
    """
    word = next((word.decode() for word in _WORDS if word in body), None)
    if word is not None:
        return {"said": word}
    try:
        message = myphone_messages.decode(body)
    except myphone_messages.NotAMessage:
        done = masking_rules.DONE
        return {"said": done} if done.encode() in body else {"bytes": len(body)}
    said = myphone_messages.acknowledged(message)
    if said is not None and said.success:
        return {"said": masking_rules.DONE}
    logins = {
        queue.number: {
            agent.extension: [agent.id, agent.logged_in]
            for agent in queue.agents.items
            if agent.extension
        }
        for queue in message.queues_info.queues
        if queue.number and queue.HasField("agents")
    }
    empty = message.HasField("queues_info") and not message.queues_info.queues
    return {"logins": logins} if logins or empty else {"bytes": len(body)}
