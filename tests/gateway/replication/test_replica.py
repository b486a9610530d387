"""Test the replica: values in, values out."""

from __future__ import annotations

import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.replication.replica import Gap, Replica
from monitor.shared import changes as model
from monitor.shared.changes import Change, Edit, Position
from monitor.shared.codec import decode_announcement, encode_change
from monitor.shared.entities.topics import Ivr, State, empty_state
from monitor.shared.redis.key_names import SpaceKeys
from tests.gateway import world

KEYS = SpaceKeys("pbx", "live")
OLD, EPOCH, NEW = "000000000000001-a", "000000000000002-a", "000000000000003-a"
AT = "2026-01-01T00:00:00.000Z"


def change(seq: int, *edits: Edit, epoch: str = EPOCH) -> Change:
    return Change(Position(epoch, seq), AT, edits)


def loaded(seq: int = 0, log_length: int = 10) -> Replica:
    replica = Replica(KEYS, log_length)
    replica.load(Position(EPOCH, seq), AT, empty_state(KEYS.topics))
    return replica


def test_the_next_change_is_applied() -> None:
    replica = loaded()
    assert replica.apply(change(1, Edit("ivrs", "1", None, Ivr("1", "one"))))
    assert replica.position == Position(EPOCH, 1)
    assert replica.state["ivrs"] == {"1": Ivr("1", "one")}


@pytest.mark.parametrize("old", [change(4), change(5), change(9, epoch=OLD)])
def test_what_is_not_newer_changes_nothing(old: Change) -> None:
    replica = loaded(5)
    assert not replica.apply(old)
    assert replica.position == Position(EPOCH, 5)


@pytest.mark.parametrize("later", [change(7), change(1, epoch=NEW), change(6, epoch=NEW)])
def test_what_does_not_follow_is_a_gap(later: Change) -> None:
    replica = loaded(5)
    with pytest.raises(Gap):
        replica.apply(later)
    assert replica.position == Position(EPOCH, 5)


def test_a_change_before_any_state_is_a_gap() -> None:
    with pytest.raises(Gap):
        Replica(KEYS).apply(change(1))


def test_an_older_state_is_refused() -> None:
    replica = loaded(5)
    with pytest.raises(ValueError, match="older"):
        replica.load(Position(OLD, 9), AT, empty_state(KEYS.topics))


def test_the_log_loaded_with_a_state_counts_only_as_far_as_it_has_no_gap() -> None:
    replica = Replica(KEYS, 10)
    log = [change(2), change(4), change(5), change(6)]
    replica.load(Position(EPOCH, 6), AT, empty_state(KEYS.topics), log)
    assert replica.since(3) == tuple(log[1:])
    assert replica.since(2) is None


def test_a_log_that_does_not_lead_to_the_state_is_not_kept() -> None:
    replica = Replica(KEYS, 10)
    replica.load(Position(EPOCH, 6), AT, empty_state(KEYS.topics), [change(4), change(5)])
    assert replica.since(6) == ()
    assert replica.since(5) is None


def test_a_new_state_forgets_the_log_of_the_old_epoch() -> None:
    replica = loaded()
    replica.apply(change(1))
    replica.load(Position(NEW, 0), AT, empty_state(KEYS.topics))
    assert replica.since(0) == ()
    assert replica.since(1) is None


def test_since_knows_nothing_of_the_future_nor_before_a_state() -> None:
    assert loaded(5).since(6) is None
    assert Replica(KEYS).since(0) is None


def test_silence_begins_when_told_and_ends_when_the_monitor_is_heard() -> None:
    replica = loaded()
    replica.silent("2026-01-01T00:00:05.000Z")
    assert replica.stale_since == "2026-01-01T00:00:05.000Z"
    replica.heard("2026-01-01T00:00:09.000Z")
    assert not replica.stale_since
    assert replica.at == "2026-01-01T00:00:09.000Z"


@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from("abc"), st.none() | st.integers(0, 9)), max_size=3),
        max_size=20,
    ),
    st.integers(1, 8),
)
def test_from_any_position_in_the_log_the_changes_since_lead_to_the_present(
    history: list[list[tuple[str, int | None]]], log_length: int
) -> None:
    replica = loaded(0, log_length)
    states: list[State] = [_copied(replica.state)]
    for seq, touched in enumerate(history, 1):
        edits = model.merge(
            Edit(
                "ivrs",
                num,
                replica.state["ivrs"].get(num),
                None if name is None else Ivr(num, str(name)),
            )
            for num, name in dict(touched).items()
        )
        replica.apply(change(seq, *edits))
        states.append(_copied(replica.state))
    for seq, state in enumerate(states):
        changes = replica.since(seq)
        assert (changes is None) == (len(history) - seq > log_length)
        for missed in changes or ():
            model.apply(state, missed.edits)
        assert changes is None or state == replica.state
        for to in range(len(history) + 2):
            assert replica.since(seq, to) == (
                None if changes is None else changes[: max(0, to - seq)]
            )


def _copied(state: State) -> State:
    return {topic: dict(entities) for topic, entities in state.items()}


def test_the_log_is_bounded_in_bytes_and_the_oldest_go_first() -> None:
    replica = Replica(KEYS, 100, 1_000)
    replica.load(Position(EPOCH, 0), AT, empty_state(KEYS.topics))
    for seq in range(1, 8):
        replica.apply(change(seq), 300)
    assert (replica.log_length, replica.log_bytes) == (3, 900)
    assert replica.since(3) is None
    assert [one.position.seq for one in replica.since(4) or ()] == [5, 6, 7]
    replica.apply(change(8), 5_000)
    assert (replica.log_length, replica.log_bytes) == (1, 5_000), "the newest stays, however large"
    changes = [change(seq) for seq in range(1, 9)]
    replica.load(Position(EPOCH, 8), AT, empty_state(KEYS.topics), changes, [400] * 8)
    assert (replica.log_length, replica.log_bytes) == (2, 800)


def test_the_log_holds_no_entity_twice() -> None:
    replica = loaded()
    one, two = Ivr("1", "one"), Ivr("1", "two")
    edits = (
        Edit("ivrs", "1", None, one),
        Edit("ivrs", "1", Ivr("1", "one"), two),
        Edit("ivrs", "1", Ivr("1", "two"), None),
    )
    for seq, edit in enumerate(edits, 1):
        replica.apply(change(seq, edit))
    log = replica.since(0)
    assert log is not None
    assert log[1].edits[0].before is one
    assert log[2].edits[0].before is two
    other = Replica(KEYS)
    other.load(
        Position(EPOCH, 3),
        AT,
        empty_state(KEYS.topics),
        [change(seq, edit) for seq, edit in enumerate(edits, 1)],
    )
    log = other.since(0)
    assert log is not None
    assert log[1].edits[0].before is one


def test_the_garbage_collector_visits_nothing_of_the_state_and_of_the_log() -> None:
    """Else each full collection would visit 100,000 objects of a large PBX, to free none."""
    replica = loaded(log_length=1_000)
    entities = [
        (topic, id_, entity)
        for topic, table in world.live_state().items()
        for id_, entity in table.items()
    ]
    gc.collect()
    before = len(gc.get_objects())
    for seq in range(1, 301):
        topic, id_, entity = entities[seq % len(entities)]
        known = replica.state[topic].get(id_)
        after = entity if known is None else None
        data = encode_change(change(seq, Edit(topic, id_, known, after)))
        told = decode_announcement(data)
        assert isinstance(told, Change)
        assert replica.apply(told, len(data))
    gc.collect()  # tuples of what is not tracked are found now, and not visited from here on
    new = len(gc.get_objects()) - before
    kinds = {Change, Edit, Position, *KEYS.topics.values()}
    assert replica.log_length == 300
    assert not {type(one) for one in gc.get_objects()} & kinds
    assert new < 50
