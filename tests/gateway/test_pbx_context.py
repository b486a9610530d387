"""Test that a view's phonebook follows its book, and what is told before the PBX was read."""

from __future__ import annotations

import fakeredis
import pytest

from gateway.errors import NoState, Refused, UnknownExtension
from gateway.fanout.fleet import Fleet
from gateway.fanout.watched_queries import Question
from gateway.operations.operation_table import command_named
from gateway.parameters import NONE, Arguments
from gateway.pbx_context import PbxContext, PhonebookKeeper, open_view
from gateway.stream.client_messages import Subscribe, Watch
from gateway.stream.subscription import ClientSubscription
from gateway.visibility import EVERYTHING
from monitor.shared.changes import Change, Edit, Position
from monitor.shared.entities.topics import Contact, Entity
from tests.gateway.entities import START, extension, system

ANN, BOB = Contact(1, "Ann", phone="0301"), Contact(2, "Bob", phone="0302")


def view_with(*contacts: Contact) -> tuple[PbxContext, PhonebookKeeper]:
    view = open_view("main", fakeredis.FakeAsyncRedis())
    view.book.load(Position("1", 0), START, {"contacts": {str(c.id): c for c in contacts}})
    keeper = PhonebookKeeper(view)
    keeper.follow()
    return view, keeper


def put(view: PbxContext, seq: int, before: Contact | None, after: Contact | None) -> None:
    id_ = str((before or after or ANN).id)
    view.book.apply(Change(Position("1", seq), START, (Edit("contacts", id_, before, after),)))


def test_a_book_that_is_loaded_can_be_searched() -> None:
    view, _ = view_with(ANN, BOB)
    assert view.phonebook.find("0301") == [1]
    assert view.phonebook.find("0302") == [2]


def test_it_follows_changes_without_starting_anew() -> None:
    view, keeper = view_with(ANN)
    same = view.phonebook
    put(view, 1, None, BOB)
    put(view, 2, ANN, Contact(1, "Ann", phone="0309"))
    put(view, 3, BOB, None)
    keeper.follow()
    assert view.phonebook is same
    assert [view.phonebook.find(number) for number in ("0301", "0302", "0309")] == [[], [], [1]]
    keeper.follow()
    assert len(view.phonebook) == 1


def test_a_new_epoch_is_another_book() -> None:
    view, keeper = view_with(ANN)
    view.book.load(Position("2", 0), START, {"contacts": {"2": BOB}})
    keeper.follow()
    assert [view.phonebook.find(number) for number in ("0301", "0302")] == [[], [2]]


def test_nothing_is_loaded_until_there_is_a_book() -> None:
    view = open_view("main", fakeredis.FakeAsyncRedis())
    PhonebookKeeper(view).follow()
    assert len(view.phonebook) == 0
    assert not view.hub.ready


async def test_who_watches_summaries_occupies_the_pbxs_of_its_key_and_no_others() -> None:
    """Else one tenant's page would keep all others' PBXs in the gateway's memory."""
    fleet = Fleet()
    views = {
        name: open_view(name, fakeredis.FakeAsyncRedis(), fleet=fleet, idle_s=600.0)
        for name in ("east", "north", "west")
    }

    def occupied() -> set[str]:
        return {name for name, view in views.items() if view.occupied}

    own = frozenset({"east", "west"})
    place = ClientSubscription(views["east"], EVERYTHING, "json", lambda: None, pbxs=own)
    for wanted in (Subscribe(frozenset({"pbxs"})), Watch(command_named("all.pbx.get"), NONE)):
        for _ in range(2):
            place.enter(wanted)
            assert occupied() == own
    place.leave()
    assert occupied() == set()


def test_answers_about_all_pbxs_of_a_gateway_are_counted_together() -> None:
    fleet = Fleet()
    views = [open_view(name, fakeredis.FakeAsyncRedis(), fleet=fleet) for name in ("east", "west")]
    question = Question(command_named("pbx.calls.get"), NONE, EVERYTHING)
    for view in views:
        view.live.load(Position("1", 0), START, {"system": {"pbx": system()}, "calls": {}})
        view.ask(question)
    assert fleet.cached.bytes == 2 * len(b'{"result":0}')
    for view in views:
        view.let_go()
    assert fleet.cached.bytes == 0


@pytest.mark.parametrize(
    ("connection", "extensions", "refusal"),
    [
        ("connecting", {}, NoState),
        ("connected", {}, UnknownExtension),
        ("lost", {"102": extension("102")}, UnknownExtension),
    ],
)
def test_nobody_is_told_that_something_is_not_there_before_the_pbx_was_read(
    connection: str, extensions: dict[str, Entity], refusal: type[Refused]
) -> None:
    view = open_view("main", fakeredis.FakeAsyncRedis())
    state: dict[str, dict[str, Entity]] = {
        "system": {"pbx": system(connection)},
        "extensions": extensions,
    }
    view.live.load(Position("1", 0), START, state)
    question = Question(command_named("ext.stats.get"), Arguments((("num", "101"),)), EVERYTHING)
    with pytest.raises(refusal):
        view.ask(question)
