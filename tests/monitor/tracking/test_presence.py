"""Test since when an extension is as it is: logged in, registered, in its profile."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from monitor.pbx.facts import ConnectionChanged, ParticipantsRead, QueueLoginsRead
from monitor.shared.entities import topics
from monitor.shared.timestamps import from_unix
from monitor.tracking.tracker import Tracker
from tests.monitor.tracking.pbx_facts import EXTENSIONS, NOON, Told, directory, participant


def changed(number: str = "101", **how: Any) -> Any:
    """A directory in which that extension is different."""
    before = directory()
    return replace(
        before,
        users=tuple(replace(row, **how) if row.number == number else row for row in before.users),
    )


@pytest.mark.parametrize(
    "how",
    [{"queue_status": "LoggedOut"}, {"registered": False}, {"enabled": False}, {"profile": "Away"}],
)
def test_it_begins_with_what_changes(how: dict[str, Any]) -> None:
    pbx = Told()
    assert pbx.extension("101").presence_since is None, "nobody knows how long it has been so"
    pbx.tell(replace(changed(**how), at=pbx.now + 1))
    began = from_unix(pbx.now)
    assert pbx.extension("101").presence_since == began
    assert pbx.extension("102").presence_since is None
    pbx.tell(replace(changed(**how, first_name="Ann"), at=pbx.now + 1))
    assert pbx.extension("101").presence_since == began, "a name is no presence"
    pbx.see("101", 1, 7, "Dialing", "102")
    pbx.gone("101", 1)
    assert pbx.extension("101").presence_since == began, "nor is a call"
    pbx.tell(replace(directory(), at=pbx.now + 1))
    assert pbx.extension("101").presence_since == from_unix(pbx.now) != began


def test_a_login_to_one_queue_counts_once_it_was_known_before() -> None:
    pbx = Told()
    pbx.tell(QueueLoginsRead({"800": {"101": True, "102": True}}, pbx.now + 1))
    assert pbx.extension("101").presence_since is None, "that it is told at last is no change"
    pbx.tell(QueueLoginsRead({"800": {"101": False, "102": True}}, pbx.now + 1))
    assert pbx.extension("101").presence_since == from_unix(pbx.now)
    assert pbx.extension("102").presence_since is None


def test_the_next_monitor_knows_it_and_since_when_nobody_calls() -> None:
    pbx = Told()
    for users in (changed(profile="Away"), directory()):
        pbx.tell(replace(users, at=pbx.now + 1))
    for number in ("101", "102"):
        pbx.see(number, int(number), int(number), "Dialing", "105")
    pbx.gone("101", 101)
    before = pbx.extension("101")
    assert None not in (before.since, before.presence_since)
    heir = Told(memories=pbx.tracker.state)
    found = heir.extension("101")
    assert (found.since, found.presence_since) == (before.since, before.presence_since)
    assert heir.extension("102").since is None, (
        "he spoke when he was last seen; nobody saw the end of it"
    )
    heir.tell(replace(changed(profile="Away"), at=heir.now + 1))
    assert heir.extension("101").presence_since == from_unix(heir.now)


def test_what_changed_between_two_monitors_began_when_the_second_saw_it() -> None:
    pbx = Told()
    pbx.tell(replace(changed(profile="Away"), at=pbx.now + 1))
    heir = Told(memories=pbx.tracker.state)
    found = heir.extension("101").presence_since
    assert found is not None
    assert found != pbx.extension("101").presence_since
    assert heir.extension("103").presence_since is None


def test_since_when_nobody_calls_goes_by_the_clock_of_now_though_it_was_ahead_before() -> None:
    pbx = Told()
    pbx.tell(replace(directory(), at=pbx.now + 3600))
    pbx.see("101", 1, 7, "Dialing", "102")
    pbx.gone("101", 1)
    assert pbx.extension("101").since == from_unix(pbx.now - 1)


def test_a_directory_that_was_asked_for_long_ago_dates_no_answer_before_its_call() -> None:
    tracker, began = Tracker("test"), NOON + 30
    talking = (
        participant("104", 3, 8, "Connected", "105"),
        participant("105", 4, 8, "Connected", "104", 2),
    )
    tracker.apply(ConnectionChanged("connected", "", NOON, "callcontrol"))
    tracker.apply(ParticipantsRead(talking, dict.fromkeys(EXTENSIONS, "Wextension"), began, began))
    tracker.apply(directory(at=NOON))
    call = topics.table(tracker.state, "calls", topics.Call)["8"]
    assert (call.started_at, call.answered_at) == (from_unix(began), from_unix(began))
    assert {leg.since for leg in call.legs} == {from_unix(began)}
