"""Test a directory read again: its news is shown everywhere, and a little costs little."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from monitor.pbx.facts import (
    ActiveCall,
    ActiveCallsRead,
    ConnectionChanged,
    DirectoryRead,
    SystemRow,
    UserRow,
)
from monitor.shared.entities import topics
from monitor.tracking.tracker import Tracker
from tests.monitor.tracking.pbx_facts import NOON, Told, directory

CALLER = "10000 skyetel (+491701)"


def changed(**users: dict[str, Any]) -> DirectoryRead:
    """The directory with some users otherwise: ``x101={"first_name": "Ann"}``."""
    how = {number[1:]: fields for number, fields in users.items()}
    before = directory()
    return replace(
        before, users=tuple(replace(row, **how.get(row.number, {})) for row in before.users)
    )


def busy() -> Told:
    """101 talks, 102 waits for an agent in the queue."""
    pbx = Told()
    pbx.see("101", 1, 7, "Ringing", "10000:+491701", 4)
    pbx.see("101", 1, 7, "Connected", "10000:+491701", 4)
    pbx.see("102", 2, 8, "Connected", "800", 1)
    return pbx


def shown(pbx: Told) -> topics.State:
    """All but since when extensions are as they are: that depends on when it was told."""
    extensions = topics.table(pbx.tracker.state, "extensions", topics.Extension)
    timeless: dict[str, topics.Entity] = {
        num: structs.replace(one, presence_since=None) for num, one in extensions.items()
    }
    return {**pbx.tracker.state, "extensions": timeless}


@pytest.mark.parametrize(
    ("fields", "available"),
    [
        ({"profile": "Away", "queue_status": "LoggedIn"}, True),
        ({"profile": "Custom 2", "queue_status": "LoggedIn"}, True),
        ({"profile": "Available", "queue_status": "LoggedOut"}, False),
        ({"profile": "Available", "queue_status": None}, True),
        ({"profile": "Custom 1", "queue_status": None}, True),
        ({"profile": "Away", "queue_status": None}, False),
        ({"profile": "Out of office", "queue_status": None}, False),
        ({"registered": False}, False),
        ({"enabled": False}, False),
        ({"in_ring_groups": False}, True),
    ],
)
def test_the_login_that_the_pbx_tells_goes_before_the_name_of_the_profile(
    fields: dict[str, Any], available: bool
) -> None:
    pbx = busy()
    pbx.tell(replace(changed(x104=fields), at=pbx.now))
    shown = topics.table(pbx.tracker.state, "extensions", topics.Extension)["104"]
    assert shown.available is available
    assert shown.in_ring_groups is fields.get("in_ring_groups", True)


@pytest.mark.parametrize(
    "told",
    [
        changed(),
        changed(x101={"first_name": "Ann"}, x102={"last_name": "Smith"}),
        changed(x101={"queue_status": "LoggedOut"}, x103={"registered": False, "profile": "Away"}),
        changed(x100={"email": "ann@example.com"}, x105={"enabled": None}),
        replace(
            changed(x101={"first_name": "Ann"}),
            users=changed(x101={"first_name": "Ann"}).users[:-1],
        ),
        replace(changed(), users=(*directory().users, UserRow(9, "106", "New"))),
        replace(changed(x102={"first_name": "Bob"}), queues=()),
        replace(changed(), users=directory().users[::-1]),
    ],
)
def test_whatever_differs_is_shown_as_if_it_had_been_told_at_first(told: DirectoryRead) -> None:
    pbx = busy()
    pbx.tell(replace(told, at=pbx.now))
    anew = busy()
    anew.tell(
        replace(told, at=anew.now, ring_groups=())
    )  # more than users differs: all is drawn anew
    anew.tell(replace(told, at=anew.now))
    assert shown(pbx) == shown(anew)


def test_of_users_that_have_changed_only_what_they_are_in_is_drawn_anew() -> None:
    pbx = busy()
    directory_index = pbx.tracker._pbx_state.directory_index
    assert pbx.tell(changed()) == ()
    edits = pbx.tell(changed(x102={"first_name": "Bob"}))
    assert {(edit.topic, edit.id) for edit in edits} == {
        ("extensions", "102"),
        ("queues", "800"),
        ("calls", "8"),
    }
    assert pbx.tracker._pbx_state.directory_index is directory_index, (
        "with 10,000 extensions a new one held up all else for a while"
    )
    assert pbx.queue().waiting[0].name == "Bob 102"
    assert [agent.name for agent in pbx.queue().agents] == ["Ext 101", "Bob 102", "Ext 103"]
    assert pbx.extension("102").name == "Bob"


def test_calls_that_came_before_the_first_directory_are_drawn_though_it_lists_nobody() -> None:
    tracker = Tracker("test")
    tracker.apply(
        ActiveCallsRead((ActiveCall(8, CALLER, "", "Initiating", NOON, NOON),), NOON, NOON)
    )
    tracker.apply(DirectoryRead((), (), (), (), (), (), (), SystemRow(), NOON))
    assert set(tracker.state["calls"]) == {"8"}


def test_the_reason_tells_every_part_that_is_missing_and_what_is_wrong_with_the_connection() -> (
    None
):
    pbx = Told()
    refused = ("Queues (403): no queues", "Trunks (404): no lines")
    pbx.tell(replace(directory(), failing=("Peers: 500",), refused=refused))
    parts = (
        "A part of the directory cannot be read and is shown as it was last. Peers: 500 The PBX "
        "refuses to show the API client some parts. Queues (403): no queues; Trunks (404): no "
        "lines."
    )
    assert reason(pbx) == parts
    why = "Without ActiveCalls: refused."
    pbx.tell(ConnectionChanged("connected", why, NOON, "callcontrol"))
    assert reason(pbx) == f"{why} {parts}"
    pbx.tell(ConnectionChanged("lost", "No route.", NOON, ""))
    assert reason(pbx) == "No route."
    pbx.tell(ConnectionChanged("connected", "", NOON, "callcontrol+activecalls"))
    pbx.tell(directory())
    assert reason(pbx) == ""


def reason(pbx: Told) -> str:
    return topics.table(pbx.tracker.state, "system", topics.System)[topics.SYSTEM_ID].reason
