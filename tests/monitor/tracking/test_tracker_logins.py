"""Test what the tracker makes of logins to single queues."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.pbx.facts import (
    ActiveCallsRead,
    AgentRow,
    ConnectionChanged,
    DirectoryRead,
    Fact,
    ParticipantsRead,
    QueueLoginsRead,
    QueueRow,
)
from monitor.shared.entities import topics
from monitor.tracking.directory_index import QUEUE_RULE, QUEUE_RULE_WITH_LOGINS
from monitor.tracking.tracker import Tracker
from tests.monitor.tracking.pbx_facts import EXTENSIONS, NOON, Told, directory

LoggedIn: TypeAlias = Mapping[str, Mapping[str, bool]]

ALL_IN = {"800": {"101": True, "102": True, "103": True}}
ONE_OUT = {"800": {"101": True, "102": False, "103": True}}


def two_queues() -> DirectoryRead:
    """Extension 102 is an agent of both."""
    return directory(
        queues=(
            QueueRow(8, "801", "Support", (AgentRow("102"), AgentRow("104"))),
            QueueRow(
                1, "800", "Sales", (AgentRow("101"), AgentRow("102"), AgentRow("103")), ("100",), 20
            ),
        )
    )


def read(told: Told, logins: LoggedIn | None) -> set[tuple[str, str]]:
    """Topics and ids of what changes with these logins."""
    return {(edit.topic, edit.id) for edit in told.tell(QueueLoginsRead(logins, told.now))}


def status(told: Told, number: str) -> dict[str, str | None]:
    return {login.num: login.status for login in told.extension(number).q_status}


def statuses(told: Told) -> dict[str, dict[str, str | None]]:
    return {number: status(told, number) for number in EXTENSIONS}


def rule(told: Told) -> str:
    return topics.table(told.tracker.state, "system", topics.System)[topics.SYSTEM_ID].queue_rule


def test_before_they_are_told_an_agents_queues_are_known_and_his_logins_are_not() -> None:
    told = Told()
    assert statuses(told) == {
        number: {"800": None} if number in ("101", "102", "103") else {} for number in EXTENSIONS
    }
    assert rule(told) == QUEUE_RULE


def test_they_are_shown_at_each_agent_and_the_rule_says_that_they_count() -> None:
    told = Told()
    assert read(told, ONE_OUT) == {
        ("extensions", "101"),
        ("extensions", "102"),
        ("extensions", "103"),
        ("queues", "800"),
        ("system", topics.SYSTEM_ID),
    }
    assert [status(told, number)["800"] for number in ("101", "102", "103")] == [
        "LoggedIn",
        "LoggedOut",
        "LoggedIn",
    ]
    assert rule(told) == QUEUE_RULE_WITH_LOGINS


def test_one_who_logs_out_changes_one_agent_and_the_queue_and_the_same_again_is_none() -> None:
    told = Told()
    read(told, ALL_IN)
    assert read(told, ONE_OUT) == {("extensions", "102"), ("queues", "800")}
    assert read(told, {"800": dict(ONE_OUT["800"])}) == set()
    assert read(told, ALL_IN) == {("extensions", "102"), ("queues", "800")}
    assert status(told, "102") == {"800": "LoggedIn"}


def test_a_queues_logged_in_agents_are_those_whom_neither_login_keeps_out() -> None:
    told = Told()

    def logged_in() -> tuple[str, ...]:
        return topics.table(told.tracker.state, "queues", topics.Queue)["800"].logged_in

    assert logged_in() == ("101", "102", "103"), "the PBX tells the global login alone"
    read(told, ONE_OUT)
    assert logged_in() == ("101", "103")
    read(told, {"800": {"101": False}})
    assert logged_in() == ("102", "103"), "whose login is not told counts by the global one"
    users = directory().users
    out = tuple(
        replace(row, queue_status="LoggedOut") if row.number == "102" else row for row in users
    )
    told.tell(directory(users=out))
    assert logged_in() == ("103",)
    read(told, ALL_IN)
    assert logged_in() == ("101", "103"), "one who is logged out globally takes no calls"
    read(told, None)
    assert logged_in() == ("101", "103")


def test_what_is_not_told_any_more_is_not_known_any_more() -> None:
    told = Told()
    before = {topic: dict(table) for topic, table in told.tracker.state.items()}
    changed = read(told, ONE_OUT)
    assert read(told, None) == changed
    assert told.tracker.state == before
    assert read(told, None) == set()


def test_an_agent_or_a_queue_that_is_left_out_is_not_known() -> None:
    told = Told()
    read(told, ALL_IN)
    assert read(told, {"800": {"101": True, "103": False}}) == {
        ("extensions", "102"),
        ("extensions", "103"),
        ("queues", "800"),
    }
    assert [status(told, number)["800"] for number in ("101", "102", "103")] == [
        "LoggedIn",
        None,
        "LoggedOut",
    ]
    assert read(told, {}) == {("extensions", "101"), ("extensions", "103"), ("queues", "800")}
    assert status(told, "101") == {"800": None}
    assert rule(told) == QUEUE_RULE_WITH_LOGINS, "the PBX tells them, though it knows of none"


def test_one_who_serves_two_queues_has_a_login_to_each() -> None:
    told = Told()
    told.tell(two_queues())
    read(told, {"800": {"102": False}, "801": {"102": True, "104": False}})
    assert told.extension("102").q_status == (
        topics.QueueLogin("800", "LoggedOut"),
        topics.QueueLogin("801", "LoggedIn"),
    )
    assert told.extension("104").q_status == (topics.QueueLogin("801", "LoggedOut"),)
    assert read(told, {"800": {"102": False}, "801": {"102": False, "104": False}}) == {
        ("extensions", "102"),
        ("queues", "801"),
    }
    assert status(told, "102") == {"800": "LoggedOut", "801": "LoggedOut"}


def test_logins_of_whom_the_directory_does_not_list_as_agents_are_not_shown() -> None:
    told = Told()
    read(told, ALL_IN)
    before = {topic: dict(table) for topic, table in told.tracker.state.items()}
    strangers = {"104": False, "199": True, "800": True, "": False}
    assert (
        read(told, {"800": ALL_IN["800"] | strangers, "899": {"101": False}, "600": {"104": True}})
        == set()
    )
    assert told.tracker.state == before


def test_logins_that_came_before_the_directory_are_shown_with_it() -> None:
    tracker = Tracker("monitor-1")
    tracker.apply(ConnectionChanged("connected", "", NOON, "activecalls"))
    tracker.apply(QueueLoginsRead(ONE_OUT, NOON))
    assert tracker.state["extensions"] == {}
    tracker.apply(directory())
    extensions = topics.table(tracker.state, "extensions", topics.Extension)
    assert extensions["102"].q_status == (topics.QueueLogin("800", "LoggedOut"),)
    assert extensions["101"].q_status == (topics.QueueLogin("800", "LoggedIn"),)


def test_they_outlive_a_new_directory_and_are_shown_for_whoever_is_an_agent_by_then() -> None:
    told = Told()
    read(told, {"800": {"102": False, "104": True}, "801": {"102": True, "104": False}})
    assert status(told, "104") == {}
    told.tell(two_queues())
    assert status(told, "102") == {"800": "LoggedOut", "801": "LoggedIn"}
    assert status(told, "104") == {"801": "LoggedOut"}
    told.tell(directory(queues=()))
    assert all(not queues for queues in statuses(told).values())
    told.tell(directory())
    assert status(told, "102") == {"800": "LoggedOut"}


def test_an_agent_who_is_no_user_does_no_harm() -> None:
    told = Told()
    told.tell(directory(queues=(QueueRow(1, "800", "Sales", (AgentRow("101"), AgentRow("150"))),)))
    assert ("extensions", "101") in read(told, {"800": {"101": False, "150": True}})
    assert status(told, "101") == {"800": "LoggedOut"}
    assert "150" not in told.tracker.state["extensions"]


def test_a_login_to_one_queue_is_neither_the_global_one_nor_a_word_on_all_queues() -> None:
    told = Told()
    read(told, {"800": dict.fromkeys(("101", "102", "103"), False)})
    for number in ("101", "102", "103"):
        extension = told.extension(number)
        assert (extension.q_global_status, extension.available) == ("LoggedIn", True)


def test_an_agent_who_talks_goes_on_talking_when_he_is_logged_out() -> None:
    told = Told()
    read(told, ALL_IN)
    told.see("102", 1, 7, "Connected", "10000:+491701")
    told.rows((7, "10000 skyetel (+491701)", "102 Ext 102", "Talking"))
    before, call = told.extension("102"), told.call(7)
    assert before.activity == "Talking"
    assert read(told, ONE_OUT) == {("extensions", "102"), ("queues", "800")}
    after = told.extension("102")
    assert after.q_status == (topics.QueueLogin("800", "LoggedOut"),)
    assert (after.activity, after.since, after.talks) == (
        before.activity,
        before.since,
        before.talks,
    )
    assert (after.status, after.available) == ("Busy", False)
    assert told.call(7) == call
    told.gone("102", 1)
    told.rows()
    assert (told.extension("102").activity, status(told, "102")) == ("Idle", {"800": "LoggedOut"})


def test_a_caller_who_waits_goes_on_waiting_when_every_agent_logs_out() -> None:
    told = Told()
    told.rows((8, "10000 skyetel (+491701)", "800 Sales", "Talking"))
    (waiting,) = told.queue().waiting
    read(told, {"800": dict.fromkeys(("101", "102", "103"), False)})
    assert told.queue().waiting == (waiting,)
    assert [agent.num for agent in told.queue().agents] == ["101", "102", "103"]


def test_a_connection_that_is_lost_leaves_what_was_known_of_them() -> None:
    told = Told()
    read(told, ONE_OUT)
    told.tell(ConnectionChanged("lost", "gone", told.now))
    assert (status(told, "102"), rule(told)) == ({"800": "LoggedOut"}, QUEUE_RULE_WITH_LOGINS)
    told.tell(ConnectionChanged("connected", "", told.now, "callcontrol+activecalls"))
    assert read(told, ONE_OUT) == set()


def test_a_first_full_state_neither_waits_for_them_nor_is_made_by_them() -> None:
    logins, others = (
        QueueLoginsRead(ALL_IN, NOON),
        (directory(), ParticipantsRead((), {}, NOON, NOON)),
    )
    rows = ActiveCallsRead((), NOON, NOON)
    orders: tuple[tuple[Fact, ...], ...] = (
        (logins, *others, rows),
        (*others, logins, rows),
        (*others, rows, logins),
    )
    for facts in orders:
        tracker = Tracker("monitor-1")
        tracker.apply(ConnectionChanged("connected", "", NOON, "callcontrol+activecalls"))
        for count, fact in enumerate(facts, 1):
            tracker.apply(fact)
            assert tracker.ready is (rows in facts[:count])


_numbers = st.sampled_from([*EXTENSIONS, "199", ""])
_logins = st.dictionaries(
    st.sampled_from(["800", "801", "600", "101"]),
    st.dictionaries(_numbers, st.booleans(), max_size=5),
    max_size=3,
)
_queues = st.lists(
    st.builds(
        lambda number, agents: QueueRow(
            int(number), number, "", tuple(AgentRow(agent) for agent in agents)
        ),
        st.sampled_from(["800", "801"]),
        st.lists(_numbers, unique=True, max_size=4),
    ),
    unique_by=lambda row: row.number,
    max_size=2,
).map(tuple)
_facts = st.lists(
    st.none()
    | _logins.map(lambda logins: QueueLoginsRead(logins, NOON))
    | _queues.map(lambda q: directory(queues=q)),
    min_size=1,
    max_size=8,
)


@settings(deadline=None)
@given(_facts)
def test_what_is_shown_is_what_was_told_last_whatever_came_before(
    facts: list[QueueLoginsRead | DirectoryRead | None],
) -> None:
    told, last = Told(), directory()
    logins: LoggedIn | None = None
    for fact in facts:
        told.tell(QueueLoginsRead(None, NOON) if fact is None else fact)
        if isinstance(fact, DirectoryRead):
            last = fact
        else:
            logins = None if fact is None else fact.logins
    words = {True: "LoggedIn", False: "LoggedOut", None: None}
    assert statuses(told) == {
        number: {
            row.number: words[(logins or {}).get(row.number, {}).get(number)]
            for row in last.queues
            if number in [agent.number for agent in row.agents]
        }
        for number in EXTENSIONS
    }
    assert rule(told) == (QUEUE_RULE if logins is None else QUEUE_RULE_WITH_LOGINS)
