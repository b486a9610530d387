"""Hold what the gateway knows of one PBX: its queries and streams are answered from this."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass, field

import structlog
from redis.asyncio import Redis

from gateway.commands.dispatcher import CommandDispatcher
from gateway.errors import NoState
from gateway.fanout.fleet import Fleet
from gateway.fanout.hub import Hub
from gateway.fanout.watched_queries import Question, WatchedQueries
from gateway.operations.operation_table import TIME, AnswerSpace
from gateway.parameters import NONE, Arguments
from gateway.queries.answer_cache import Answer, AnswerCache
from gateway.queries.context import QueryContext
from gateway.replication.follower import StateFollower
from gateway.replication.on_demand import FIRST_STATE_WITHIN_S, HEARD_WITHIN_S, Demand
from gateway.replication.pbx_summaries import PbxSummaries
from gateway.replication.position_waiter import PositionWaiter
from gateway.replication.replica import LOG_BYTES, LOG_LENGTH, Replica
from gateway.visibility import Visibility
from monitor.shared.changes import Position
from monitor.shared.entities.topics import SYSTEM_ID, Contact, System, table
from monitor.shared.phone_index import PhoneIndex
from monitor.shared.redis.key_names import SpaceKeys

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class PbxContext:
    """Hold one PBX's two spaces, each with a replica, the feed that moves it, and its hub.

    A hub tells the subscribers. The creator of the view must run the feeds, hubs, ``commander``
    and ``watches``; ``demand`` says when. The spaces have positions of their own: ``live`` has all
    topics but contacts, ``book`` has the contacts. ``phonebook`` finds the contacts of ``book``;
    look it up again for every use. ``tenant``: the PBX's owner; empty if the settings do not say.
    ``fleet``: the summaries of all PBXs; all contexts of a gateway have the same one.
    ``idle_s``: as in :func:`open_view`.
    """

    name: str
    live: Replica
    book: Replica
    live_feed: StateFollower
    book_feed: StateFollower
    hub: Hub
    book_hub: Hub
    phonebook: PhoneIndex
    position_waiter: PositionWaiter
    commander: CommandDispatcher
    tenant: str = ""
    fleet: Fleet = field(default_factory=Fleet)
    idle_s: float | None = None
    demand: Demand = field(init=False)
    watches: WatchedQueries = field(init=False)
    _answers: dict[AnswerSpace, AnswerCache] = field(init=False)

    def __post_init__(self) -> None:
        self.demand = Demand(self.name, self.idle_s)
        spaces: tuple[AnswerSpace, ...] = ("live", "book", "fleet")
        self._answers = {space: AnswerCache(together=self.fleet.cached) for space in spaces}
        self.watches = WatchedQueries(
            self.ask,
            lambda command: self.replica_of(command.space).position,
            lambda: self.live.stale_since,
            time.time,
            self.hub.heartbeat,
            lambda: self.live.at,
        )

    @property
    def loaded(self) -> bool:
        """Return whether both spaces have a state."""
        return self.live.position is not None and self.book.position is not None

    @property
    def occupied(self) -> bool:
        """Return whether somebody is subscribed, to its summary too, or waits for an answer."""
        watching = len(self.hub) + len(self.book_hub) + len(self.watches)
        watching += self.fleet.held[self.name]
        return bool(watching or self.watches.polls.total() or self.commander.waiting)

    async def asked_for(self) -> bool:
        """Note that somebody asks for this PBX, and wait for a state if it is not followed yet.

        Returns whether it waited. Raises NoState if there is no state within some seconds.
        """
        self.demand.ask()
        if self.demand.always or self.loaded:
            return False
        if not await self.demand.becomes(lambda: self.loaded, FIRST_STATE_WITHIN_S):
            text = f"The PBX {self.name!r} was not followed; its state is not loaded yet."
            raise NoState(f"{text} Try again in a moment.")
        await self.demand.becomes(lambda: self.live.stale_since is None, HEARD_WITHIN_S)
        return True

    def note_request(self, space: AnswerSpace, pbxs: Collection[str]) -> None:
        """Note a request that was answered at once. ``pbxs``: those that the key may see."""
        if space == "fleet":
            self.fleet.ask_for(pbxs)
        else:
            self.demand.asks += 1

    def let_go(self) -> None:
        """Drop all that is known of the PBX. Call it only while nothing of it runs."""
        self.live_feed.forget()
        self.book_feed.forget()
        for answers in self._answers.values():
            answers.forget()
        self.phonebook = PhoneIndex()
        self.fleet.refresh(self.name)

    def join_fleet(self) -> None:
        """Have this PBX among the summaries, and its watched queries told when one changes."""
        self.fleet.follow(self.name, self.live, self._fleet_moved, self.demand.ask)

    def _fleet_moved(self) -> None:
        if len(self.watches):
            self.watches.changed()

    def hub_of(self, space: AnswerSpace) -> Hub:
        """Return the hub of this space."""
        if space == "fleet":
            return self.fleet.hub
        return self.book_hub if space == "book" else self.hub

    def replica_of(self, space: AnswerSpace) -> Replica | PbxSummaries:
        """Return the replica whose position an answer from this space has."""
        if space == "fleet":
            return self.fleet.summaries
        return self.book if space == "book" else self.live

    def stale_since(self, space: AnswerSpace) -> str | None:
        """Return since when an answer from this space may be out of date; None while it is live.

        It may be while nothing is heard from the monitor, and while the monitor is not connected
        to the PBX. The result is an instant.
        """
        if space == "fleet":  # each summary says so for its PBX
            return None
        silent = (self.book if space == "book" else self.live).stale_since
        system = table(self.live.state, "system", System).get(SYSTEM_ID)
        if silent is not None or system is None or system.connection == "connected":
            return silent
        return system.since

    def asked(self, visibility: Visibility, arguments: Arguments = NONE) -> QueryContext:
        """Return what a query gets as its input."""
        return QueryContext(
            *(self.live.state, self.book.state, self.phonebook, visibility, arguments),
            fleet=self.fleet.summaries.state,
        )

    def ask(self, question: Question) -> Answer:
        """Return the answer to a query now. Raises NoState, and what the query refuses with."""
        query = question.command.query
        if query is None:
            raise TypeError(f"{question.command.name} is not a query")
        asked = self.asked(question.visibility, question.arguments)
        seconds = question.arguments.optional(TIME.name) == "seconds"
        return self.answer(question.command.space, question, lambda: query(asked), seconds=seconds)

    def answer(
        self,
        space: AnswerSpace,
        question: Hashable,
        make: Callable[[], object],
        *,
        seconds: bool = False,
    ) -> Answer:
        """Return the current answer to a question: a cached one, or what ``make`` makes.

        ``seconds``: whether its instants are in whole seconds, as the question asks. Raises NoState
        if no state is loaded yet.
        """
        position = self.replica_of(space).position
        if position is None:
            raise NoState("There is no state of the PBX yet; try again in a moment.")
        if space == "fleet":
            return self._answers[space].answer(question, position, make, seconds=seconds)
        system = table(self.live.state, "system", System).get(SYSTEM_ID)
        if system is not None and system.connection == "connecting" and self._nothing_read:
            raise NoState(f"Nothing could be read from the PBX yet. {system.reason}".rstrip())
        return self._answers[space].answer(question, position, make, seconds=seconds)

    @property
    def _nothing_read(self) -> bool:
        return not any(entities for topic, entities in self.live.state.items() if topic != "system")


def open_view(
    name: str,
    redis: Redis,
    *,
    heartbeat: float = 5.0,
    log_length: int = LOG_LENGTH,
    log_bytes: int = LOG_BYTES,
    clock: Callable[[], float] = time.time,
    tenant: str = "",
    fleet: Fleet | None = None,
    idle_s: float | None = None,
) -> PbxContext:
    """Make the view of this PBX, with all parts connected; nothing runs yet.

    ``heartbeat``: seconds. ``log_length``, ``log_bytes``: changes held for each space, and their
    bytes. ``clock``: POSIX seconds. ``tenant``: whose PBX it is.
    ``fleet``: the summaries of all PBXs of this gateway; None: those of this PBX alone.
    ``idle_s``: seconds without a request after which the PBX is let go; None: it is followed
    always.
    """
    live_keys, book_keys = SpaceKeys(name, "live"), SpaceKeys(name, "book")
    live, book = (
        Replica(live_keys, log_length, log_bytes),
        Replica(book_keys, log_length, log_bytes),
    )
    hub = Hub(live, lambda: live.stale_since, clock, heartbeat, lambda: live.at)
    book_hub = Hub(book, lambda: book.stale_since, clock, heartbeat, lambda: book.at)

    position_waiter = PositionWaiter(live, book)
    log = _log.bind(pbx=name)

    def live_changed() -> None:
        view.fleet.refresh(name)
        _changed(hub, live, log)
        view.watches.changed()
        view.demand.moved()
        position_waiter.moved()

    def book_changed() -> None:
        keeper.follow()
        _changed(book_hub, book, log)
        view.watches.changed()
        view.demand.moved()
        position_waiter.moved()

    view = PbxContext(
        name,
        live,
        book,
        StateFollower(redis, live_keys, live, live_changed),
        StateFollower(redis, book_keys, book, book_changed),
        hub,
        book_hub,
        PhoneIndex(),
        position_waiter,
        CommandDispatcher(redis, name, position_waiter),
        tenant,
        Fleet(clock, heartbeat) if fleet is None else fleet,
        idle_s,
    )
    keeper = PhonebookKeeper(view)
    view.join_fleet()
    return view


def _changed(hub: Hub, replica: Replica, log: structlog.typing.FilteringBoundLogger) -> None:
    """Tell the subscribers, and log how many frames of a change were sent at once."""
    before = hub.counters.changes
    hub.changed()
    if (told := hub.counters.changes - before) and (change := replica.newest) is not None:
        log.debug("change_sent", trace=change.trace, position=str(change.position), frames=told)


class PhonebookKeeper:
    """Keep a view's phonebook in step with its address book."""

    def __init__(self, view: PbxContext) -> None:
        self._view = view
        self._at: Position | None = None

    def follow(self) -> None:
        """Go to the address book's position: change by change, or by rebuilding it.

        It is rebuilt if the log does not lead there.
        """
        book, at = self._view.book, self._at
        if book.position is None:
            self._at = None
        if book.position is None or book.position == at:
            return
        changes = book.since(at.seq) if at is not None and at.epoch == book.position.epoch else None
        self._at = book.position
        if changes is None:
            self._view.phonebook = PhoneIndex(table(book.state, "contacts", Contact).values())
            return
        for edit in (edit for change in changes for edit in change.edits):
            if isinstance(edit.after, Contact):
                self._view.phonebook.add(edit.after)
            elif isinstance(edit.before, Contact):
                self._view.phonebook.remove(edit.before)
