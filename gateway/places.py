"""A client's place on the stream, whatever it watches: a view of a space, or a query."""

from __future__ import annotations

from collections.abc import Callable

from gateway.errors import NoState
from gateway.frames import Encoding, Message
from gateway.hub import Hub
from gateway.messages import Subscribe, Watch
from gateway.pbxview import PbxView
from gateway.tracks import Line, Subscriber
from gateway.views import View
from gateway.visibility import Visibility
from gateway.watching import Question, Watcher
from monitor.model.change import Position


class Place:
    """Where one client stands. ``wake`` is called whenever :meth:`take` may have something.

    A new subscription replaces the old one and may keep its place in the hub, so that positions never go back.
    ``line``: as for the hub.
    """

    def __init__(
        self,
        pbx: PbxView,
        visibility: Visibility,
        encoding: Encoding,
        wake: Callable[[], None],
        line: Line | None = None,
    ) -> None:
        self._line = line
        self._pbx = pbx
        self._visibility = visibility
        self._encoding: Encoding = encoding
        self._wake = wake
        self._subscribed: tuple[Hub, Subscriber] | None = None
        self._watching: Watcher | None = None

    @property
    def taken(self) -> bool:
        """Whether anything is watched."""
        return self._subscribed is not None or self._watching is not None

    @property
    def position(self) -> Position | None:
        """What the client has been told; None before that."""
        if self._watching is not None:
            return self._watching.position
        return self._subscribed[1].position if self._subscribed is not None else None

    def enter(self, wanted: Subscribe | Watch) -> None:
        """Watch this from now on, and nothing else. Raises NoState if there is none yet."""
        if isinstance(wanted, Watch):
            self._watch(wanted)
        else:
            self._subscribe(wanted)

    def leave(self) -> None:
        """Watch nothing any more."""
        if self._subscribed is not None:
            hub, subscriber = self._subscribed
            self._subscribed = None
            hub.leave(subscriber)
        if self._watching is not None:
            self._pbx.watches.leave(self._watching)
            self._watching = None

    def take(self) -> tuple[Message, ...]:
        """What to send next, as from the hub."""
        if self._watching is not None:
            return self._pbx.watches.take(self._watching)
        return self._subscribed[0].take(self._subscribed[1]) if self._subscribed is not None else ()

    def _subscribe(self, wanted: Subscribe) -> None:
        hub = self._pbx.book_hub if wanted.book else self._pbx.hub
        if not hub.ready:
            raise NoState("There is no state of this yet.")
        view = View(wanted.topics, self._visibility, wanted.filter)
        if self._subscribed is not None and self._subscribed[0] is hub:
            hub.change_view(self._subscribed[1], view, wanted.since, merge=wanted.merge)
            return
        watching = self._watching
        told = None
        if watching is not None and wanted.book is (watching.watched.question.command.space == "book"):
            told = watching.position
        self.leave()
        subscriber = hub.subscribe(
            view, self._encoding, self._wake, wanted.since, merge=wanted.merge, line=self._line, told=told
        )
        self._subscribed = (hub, subscriber)

    def _watch(self, wanted: Watch) -> None:
        hub = self._pbx.book_hub if wanted.command.space == "book" else self._pbx.hub
        if not hub.ready:
            raise NoState("There is no state of this yet.")
        self.leave()
        question = Question(wanted.command, wanted.arguments, self._visibility)
        self._watching = self._pbx.watches.watch(question, self._encoding, self._wake, wanted.since)
