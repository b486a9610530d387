"""Hold what one client of the stream watches: views of a space, and queries.

A connection has one subscription without an id, and any with ids. Most connections have only the
former, so what the others need is made when the first one comes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from gateway.errors import AnswersTooLarge, NoState, TooManySubscriptions
from gateway.fair_share import KeyShare
from gateway.fanout.field_selection import Selection
from gateway.fanout.filtered_view import FilteredView
from gateway.fanout.frames import Encoding, Messages
from gateway.fanout.hub import Hub
from gateway.fanout.view_subscribers import DirectWriter, Subscriber
from gateway.fanout.watched_queries import Question, Watcher
from gateway.operations.operation_table import AnswerSpace
from gateway.pbx_context import PbxContext
from gateway.stream.client_messages import BadMessage, Subscribe, Watch
from gateway.transport.subscription_id import IdHead, SubscriptionId
from gateway.transport.websocket_protocol import ReadyFrame, Socket
from gateway.visibility import Visibility
from monitor.shared.changes import Position

MOST_SUBSCRIPTIONS: Final = 32
"""Subscriptions with an id on one connection."""


class NamedLine:
    """Write the hub's frames to a connection, each with the id of one of its subscriptions."""

    __slots__ = ("_head", "_socket")

    def __init__(self, socket: Socket, head: IdHead) -> None:
        self._socket = socket
        self._head = head

    @property
    def ready(self) -> bool:
        """Return whether a frame can be written now."""
        return self._socket.ready

    def push(self, frame: ReadyFrame) -> bool:
        """Write the frame with the id, unless something prevents it. Return whether it was."""
        return self._socket.push(frame.named(self._head))


class ClientSubscription:
    """Hold what one client watches by one subscription, and what it has been told.

    ``wake`` is called whenever :meth:`next_messages` may have something. A new subscription
    replaces the old one. It may keep its place in the hub, so that positions never go back.
    ``line``: as for the hub. ``share``: what all connections of the client's key share; None: no
    limit. ``pbxs``: the PBXs whose summaries the client may see.
    """

    head: IdHead | None = None
    """Head of its messages; None: it has no id."""

    def __init__(
        self,
        pbx: PbxContext,
        visibility: Visibility,
        encoding: Encoding,
        wake: Callable[[], None],
        line: DirectWriter | None = None,
        share: KeyShare | None = None,
        head: IdHead | None = None,
        *,
        pbxs: frozenset[str] = frozenset(),
    ) -> None:
        if head is not None:
            self.head = head
        self._pbxs = pbxs
        self._share = share
        self._selection: Selection | None = None
        self._answer_held: object = None
        self._fleet_held = False
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
        self._pbx.demand.ask()  # it may have been let go since the connection was made
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
        if self._share is not None and self._answer_held is not None:
            self._share.let_answer_go(self._answer_held)
            self._answer_held = None
        if self._fleet_held:
            self._fleet_held = False
            self._pbx.fleet.let_go(self._pbxs)

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
        hub = self._hub_of(wanted.space)
        if not hub.ready:
            raise NoState("There is no state of this PBX yet.")
        held = self._held(wanted.selection)
        view = FilteredView(
            wanted.topics,
            self._sees(wanted.space),
            None if held is None else held.filter,
            None if held is None else held.fields,
            wanted.patch,
        )
        since = self._ours(wanted.space, wanted.since)
        if self._subscribed is not None and self._subscribed[0] is hub:
            hub.change_view(self._subscribed[1], view, since, merge=wanted.merge)
            return
        watching = self._watching
        told = None
        self._selection = None  # else leave() would count out what was just counted in
        if watching is not None and wanted.space == watching.watched.question.command.space:
            told = watching.position
        self.leave()
        self._selection = held if self._share is not None else None
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
        self._hold_fleet(wanted.space)

    def _hold_fleet(self, space: AnswerSpace) -> None:
        """Have the PBXs of the summaries followed for as long as they are watched."""
        if space == "fleet":
            self._fleet_held = True
            self._pbx.fleet.hold(self._pbxs)

    def _hub_of(self, space: AnswerSpace) -> Hub:
        if space == "fleet":
            self._pbx.fleet.ask_for(self._pbxs)
        return self._pbx.hub_of(space)

    def _sees(self, space: AnswerSpace) -> Visibility:
        return replace(self._visibility, pbxs=self._pbxs) if space == "fleet" else self._visibility

    def _ours(self, space: AnswerSpace, since: Position | None) -> Position | None:
        """Return the client's position; None if another gateway gave it.

        Epochs of summaries are a gateway's own, so a newer one does not mean that we are late.
        """
        foreign = since is not None and since.epoch != self._pbx.fleet.summaries.position.epoch
        return None if space == "fleet" and foreign else since

    def _held(self, wanted: Selection | None) -> Selection | None:
        """Count the new selection in place of the old one. Return the shared copy of it."""
        if self._share is None:
            return wanted
        held = None if wanted is None else self._share.hold(wanted)
        self._let_go()
        self._selection = held
        return held

    def _let_go(self) -> None:
        if self._selection is not None and self._share is not None:
            self._share.let_go(self._selection)
        self._selection = None

    def _watch(self, wanted: Watch) -> None:
        space = wanted.command.space
        hub = self._hub_of(space)
        if not hub.ready:
            raise NoState("There is no state of this PBX yet.")
        self.leave()
        question = Question(wanted.command, wanted.arguments, self._sees(space))
        since = self._ours(space, wanted.since)
        self._watching = self._pbx.watches.watch(question, self._encoding, self._wake, since)
        self._hold_fleet(space)
        watched = self._watching.watched
        if self._share is not None and watched.answer is not None:
            try:
                self._share.hold_answer(watched, len(watched.answer.body))
            except AnswersTooLarge:
                self.leave()
                raise
            self._answer_held = watched


class SubscriptionSet:
    """Hold all subscriptions of one connection, with an id and without.

    ``unnamed``: the one without an id. ``wake`` is called whenever :meth:`next_messages` may have
    something. ``socket``: the connection to which the hub may write itself; None: it may not.
    ``pbxs``: as for a :class:`ClientSubscription`.
    """

    def __init__(
        self,
        unnamed: ClientSubscription,
        pbx: PbxContext,
        visibility: Visibility,
        encoding: Encoding,
        wake: Callable[[], None],
        socket: Socket | None,
        share: KeyShare | None,
        pbxs: frozenset[str],
    ) -> None:
        self._unnamed = unnamed
        self._pbx = pbx
        self._visibility = visibility
        self._encoding: Encoding = encoding
        self._wake = wake
        self._socket = socket
        self._share = share
        self._pbxs = pbxs
        self._named: dict[SubscriptionId, ClientSubscription] = {}
        self._due: dict[ClientSubscription, None] = {}
        """Those that may have something to send, in the order of their turns."""
        self.head: IdHead | None = None
        """Head of the messages that were taken last."""

    @property
    def taken(self) -> bool:
        """Return whether anything is watched."""
        return self._unnamed.taken or bool(self._named)

    @property
    def begins(self) -> bool:
        """Return whether one that may be next has a whole view due, or is about to resume."""
        return self._unnamed.begins or any(place.begins for place in self._due)

    @property
    def position(self) -> Position | None:
        """Return the position that the client has been told of the one without an id."""
        return self._unnamed.position

    def check(self, wanted: Subscribe | Watch) -> None:
        """Raise BadMessage or TooManySubscriptions if this subscription's id cannot be taken."""
        if wanted.id is None:
            return
        if wanted.id in self._named:
            raise BadMessage(
                f"There is a subscription with the id {wanted.id!r} already: unsubscribe it "
                "first, or use another id.",
                "id_in_use",
            )
        if len(self._named) >= MOST_SUBSCRIPTIONS:
            raise TooManySubscriptions(
                f"This connection has {MOST_SUBSCRIPTIONS} subscriptions with an id; no more are "
                "possible. Unsubscribe one, or open another connection."
            )

    def enter(self, wanted: Subscribe | Watch) -> None:
        """Watch this too; without an id, in place of what was watched without one.

        Raises NoState and HoldsTooMuch, as :meth:`ClientSubscription.enter`. Call :meth:`check`
        before.
        """
        if wanted.id is None:
            self._unnamed.enter(wanted)
            return
        if self._share is not None:
            self._share.hold_subscription()
        head = IdHead(wanted.id)
        line = None if self._socket is None else NamedLine(self._socket, head)
        wake = partial(self._woken, wanted.id)
        place = self._named[wanted.id] = ClientSubscription(
            *(self._pbx, self._visibility, self._encoding, wake, line, self._share, head),
            pbxs=self._pbxs,
        )
        try:
            place.enter(wanted)
        except BaseException:
            self.leave(wanted.id)
            raise

    def leave(self, id_: SubscriptionId | None) -> IdHead | None:
        """End a subscription. Return the head of its messages. Raises BadMessage if there is none.

        ``id_``: None: the one without an id.
        """
        if id_ is None and self._unnamed.taken:
            self._unnamed.leave()
            return None
        place = None if id_ is None else self._named.pop(id_, None)
        if place is None:
            raise BadMessage(self._unknown(id_), "unknown_id")
        place.end()
        self._due.pop(place, None)
        if self._share is not None:
            self._share.let_subscription_go()
        return place.head

    def end(self) -> None:
        """Stop watching for good."""
        self._unnamed.end()
        for id_ in list(self._named):
            self.leave(id_)
        self._wake = _nobody

    def next_messages(self) -> Messages:
        """Return what one of them has to send next; :attr:`head` belongs to it.

        They have their turns one after the other, so none waits for ever for a busy one.
        """
        self._due.setdefault(self._unnamed)  # the hub does not tell us that it is due
        while self._due:
            place = next(iter(self._due))
            del self._due[place]
            messages = place.next_messages()
            if messages:
                self._due[place] = None
                self.head = place.head
                return messages
        return ()

    def _woken(self, id_: SubscriptionId) -> None:
        if (place := self._named.get(id_)) is not None:
            self._due.setdefault(place)
            self._wake()

    def _unknown(self, id_: SubscriptionId | None) -> str:
        there = ", ".join(map(repr, self._named)) or "none with an id"
        asked = "without an id" if id_ is None else f"with the id {id_!r}"
        return f"There is no subscription {asked}; there are {there}."


def _nobody() -> None:
    pass
