"""Hold what one client of the stream watches: a view of a space, or a query."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from gateway.errors import AnswersTooLarge, NoState
from gateway.fair_share import KeyShare
from gateway.fanout.filtered_view import FilteredView
from gateway.fanout.filters import EntityFilter
from gateway.fanout.frames import Encoding, Messages
from gateway.fanout.hub import Hub
from gateway.fanout.view_subscribers import DirectWriter, Subscriber
from gateway.fanout.watched_queries import Question, Watcher
from gateway.operations.operation_table import AnswerSpace
from gateway.pbx_context import PbxContext
from gateway.stream.client_messages import Subscribe, Watch
from gateway.visibility import Visibility
from monitor.shared.changes import Position


class ClientSubscription:
    """Hold what one client watches, and what it has been told.

    ``wake`` is called whenever :meth:`next_messages` may have something. A new subscription
    replaces the old one. It may keep its place in the hub, so that positions never go back.
    ``line``: as for the hub. ``share``: what all connections of the client's key share; None: no
    limit. ``pbxs``: the PBXs whose summaries the client may see.
    """

    def __init__(
        self,
        pbx: PbxContext,
        visibility: Visibility,
        encoding: Encoding,
        wake: Callable[[], None],
        line: DirectWriter | None = None,
        share: KeyShare | None = None,
        pbxs: frozenset[str] = frozenset(),
    ) -> None:
        self._pbxs = pbxs
        self._share = share
        self._filter: EntityFilter | None = None
        self._answer_bytes = 0
        self._line = line
        self._pbx = pbx
        self._visibility = visibility
        self._encoding: Encoding = encoding
        self._wake = wake
        self._subscribed: tuple[Hub, Subscriber] | None = None
        self._watching: Watcher | None = None

    @property
    def taken(self) -> bool:
        """Return whether anything is watched."""
        return self._subscribed is not None or self._watching is not None

    @property
    def begins(self) -> bool:
        """Return whether a whole view is due, or the change from where the client left it."""
        if self._subscribed is None:
            return False
        subscriber = self._subscribed[1]
        return subscriber.snapshot_due or subscriber.resuming

    @property
    def position(self) -> Position | None:
        """Return the position that the client has been told; None before that."""
        if self._watching is not None:
            return self._watching.position
        return self._subscribed[1].position if self._subscribed is not None else None

    def enter(self, wanted: Subscribe | Watch) -> None:
        """Watch this from now on, and nothing else.

        Raises NoState if no state is loaded yet, and HoldsTooMuch if the key's subscriptions
        hold too much memory.
        """
        if isinstance(wanted, Watch):
            self._watch(wanted)
        else:
            self._subscribe(wanted)

    def leave(self) -> None:
        """Stop watching."""
        self._let_go()
        if self._subscribed is not None:
            hub, subscriber = self._subscribed
            self._subscribed = None
            hub.leave(subscriber)
        if self._watching is not None:
            self._pbx.watches.leave(self._watching)
            self._watching = None
        if self._share is not None:
            self._share.let_answer_go(self._answer_bytes)
            self._answer_bytes = 0

    def end(self) -> None:
        """Stop watching for good, and forget the client, which refers to this."""
        self.leave()
        self._wake = _nobody

    def next_messages(self) -> Messages:
        """Return the messages to send next, as from the hub."""
        if self._watching is not None:
            return self._pbx.watches.next_messages(self._watching)
        return (
            self._subscribed[0].next_messages(self._subscribed[1])
            if self._subscribed is not None
            else ()
        )

    def _subscribe(self, wanted: Subscribe) -> None:
        hub = self._pbx.hub_of(wanted.space)
        if not hub.ready:
            raise NoState("There is no state of this PBX yet.")
        seen = self._sees(wanted.space)
        view = FilteredView(wanted.topics, seen, self._held(wanted.filter))
        since = self._ours(wanted.space, wanted.since)
        if self._subscribed is not None and self._subscribed[0] is hub:
            hub.change_view(self._subscribed[1], view, since, merge=wanted.merge)
            return
        watching = self._watching
        told = None
        held, self._filter = self._filter, None
        if watching is not None and wanted.space == watching.watched.question.command.space:
            told = watching.position
        self.leave()
        self._filter = held
        subscriber = hub.subscribe(
            view,
            self._encoding,
            self._wake,
            since,
            merge=wanted.merge,
            line=self._line,
            told=told,
        )
        self._subscribed = (hub, subscriber)

    def _sees(self, space: AnswerSpace) -> Visibility:
        return replace(self._visibility, pbxs=self._pbxs) if space == "fleet" else self._visibility

    def _ours(self, space: AnswerSpace, since: Position | None) -> Position | None:
        """Return the client's position; None if another gateway gave it.

        Epochs of summaries are a gateway's own, so a newer one does not mean that we are late.
        """
        foreign = since is not None and since.epoch != self._pbx.fleet.summaries.position.epoch
        return None if space == "fleet" and foreign else since

    def _held(self, wanted: EntityFilter | None) -> EntityFilter | None:
        """Count the new filter in place of the old one. Return the shared copy of it."""
        if self._share is None:
            return wanted
        held = None if wanted is None else self._share.hold(wanted)
        self._let_go()
        self._filter = held
        return held

    def _let_go(self) -> None:
        if self._filter is not None and self._share is not None:
            self._share.let_go(self._filter)
        self._filter = None

    def _watch(self, wanted: Watch) -> None:
        space = wanted.command.space
        hub = self._pbx.hub_of(space)
        if not hub.ready:
            raise NoState("There is no state of this PBX yet.")
        self.leave()
        question = Question(wanted.command, wanted.arguments, self._sees(space))
        since = self._ours(space, wanted.since)
        self._watching = self._pbx.watches.watch(question, self._encoding, self._wake, since)
        watched = self._watching.watched
        if self._share is not None and watched.answer is not None and len(watched.watchers) == 1:
            try:
                self._share.hold_answer(len(watched.answer.body))
            except AnswersTooLarge:
                self.leave()
                raise
            self._answer_bytes = len(watched.answer.body)


def _nobody() -> None:
    pass
