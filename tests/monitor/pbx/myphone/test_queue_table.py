"""Test what is known of the queues after messages that are whole, partial or too many."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.myphone_messages import Action, AgentEntry, NotAMessage, QueueEntry, QueuesUpdate
from monitor.pbx.myphone import queue_table
from monitor.pbx.myphone.queue_table import QueueTable, is_whole

WHOLE = QueuesUpdate(
    (
        QueueEntry(
            7,
            "800",
            agents=(AgentEntry(41, "101", True), AgentEntry(42, "102", False)),
            figures={"offered": 3.0, "waiting": 1.0},
        ),
        QueueEntry(8, "801", agents=()),
    )
)


def of(*queues: QueueEntry, action: int = Action.UPDATED) -> QueuesUpdate:
    return QueuesUpdate(queues, action)


def table(*updates: QueuesUpdate) -> QueueTable:
    known = QueueTable()
    for update in (WHOLE, *updates):
        known.apply(update)
    return known


def test_a_whole_message_tells_logins_and_figures_by_number() -> None:
    assert table().logins == {"800": {"101": True, "102": False}, "801": {}}
    assert table().figures == {"800": {"offered": 3.0, "waiting": 1.0}}


def test_a_change_of_figures_alone_leaves_the_agents() -> None:
    known = table(of(QueueEntry(7, figures={"waiting": 0.0})))
    assert known.logins == table().logins
    assert known.figures == {"800": {"offered": 3.0, "waiting": 0.0}}


def test_a_change_of_one_agent_by_its_id_leaves_the_others() -> None:
    known = table(of(QueueEntry(7, agents=(AgentEntry(42, logged_in=True),))))
    assert known.logins["800"] == {"101": True, "102": True}
    known = table(of(QueueEntry(7, agents=(AgentEntry(41),))))
    assert known.logins["800"] == {"101": True, "102": False}, "its login is not in the message"
    known = table(of(QueueEntry(7, agents=(AgentEntry(41, "101"),))))
    assert known.logins["800"] == {"101": False, "102": False}, "a whole row without it is nought"


def test_what_is_not_known_by_its_id_is_left_out() -> None:
    known = table(of(QueueEntry(7, agents=(AgentEntry(99, logged_in=True),))))
    assert known.logins == table().logins
    known = table(of(QueueEntry(9, agents=(AgentEntry(41, logged_in=True),))))
    assert known.logins == table().logins, "no number of this queue was told"
    known = table(of(QueueEntry(0, agents=(AgentEntry(41, logged_in=False),))))
    assert known.logins == table().logins


@pytest.mark.parametrize("action", list(Action))
def test_no_number_at_the_head_of_a_message_removes_anything(action: Action) -> None:
    known = table(of(QueueEntry(7, figures={"waiting": 2.0}), action=action))
    assert known.logins == table().logins


def test_what_is_marked_as_deleted_goes() -> None:
    known = table(of(QueueEntry(7, agents=(AgentEntry(41, action=Action.DELETED),))))
    assert known.logins["800"] == {"102": False}
    known = table(of(QueueEntry(7, action=Action.DELETED)))
    assert known.logins == {"801": {}}
    assert known.figures == {}


def test_an_answer_that_is_whole_replaces_everything_and_a_partial_one_nothing() -> None:
    known = table()
    known.apply(of(QueueEntry(7, figures={"waiting": 2.0})), replace=True)
    assert known.logins == table().logins
    known.apply(of(QueueEntry(9, "802", agents=())), replace=True)
    assert known.logins == {"802": {}}
    known.apply(of(), replace=True)
    assert known.logins == {}


def test_a_message_is_whole_if_it_has_numbers_and_agents_or_nothing() -> None:
    assert is_whole(WHOLE)
    assert is_whole(of())
    assert not is_whole(of(QueueEntry(7, figures={"waiting": 2.0})))
    assert not is_whole(of(QueueEntry(7, "800")))
    assert not is_whole(of(QueueEntry(7, agents=(AgentEntry(41, "101", True),))))
    assert not is_whole(of(QueueEntry(7, "800", agents=(AgentEntry(41, logged_in=True),))))


def test_what_grows_without_end_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_table, "MAX_QUEUES", 3)
    monkeypatch.setattr(queue_table, "MAX_AGENTS", 3)
    for more in (
        [QueueEntry(number, f"{number}") for number in (9, 10)],
        [QueueEntry(7, agents=tuple(AgentEntry(n, f"{n}") for n in (51, 52)))],
        [QueueEntry(7, agents=tuple(AgentEntry(n, "101") for n in range(51, 55)))],
    ):
        known = table(*(of(entry) for entry in more[:-1]))
        with pytest.raises(NotAMessage, match="more than"):
            known.apply(of(more[-1]))
        assert known.logins == {}
        known.apply(WHOLE)
        assert known.logins == table().logins


_entries = st.builds(
    QueueEntry,
    st.integers(0, 3),
    st.sampled_from(("", "800", "801")),
    agents=st.none()
    | st.lists(
        st.builds(
            AgentEntry,
            st.integers(0, 3),
            st.sampled_from(("", "101", "102")),
            st.none() | st.booleans(),
            st.sampled_from(list(Action)),
        ),
        max_size=3,
    ).map(tuple),
    action=st.sampled_from(list(Action)),
)


@given(st.lists(_entries, max_size=8))
def test_any_messages_leave_a_table_of_known_numbers(entries: list[QueueEntry]) -> None:
    known = QueueTable()
    for entry in entries:
        known.apply(of(entry))
    known.apply(WHOLE)
    assert known.logins["800"]["101"] is True
    assert all(known.logins)
