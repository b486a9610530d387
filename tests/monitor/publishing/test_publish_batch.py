"""Test what a writer may conclude from the position that it finds."""

from __future__ import annotations

import pytest

from monitor.publishing.publish_batch import StoredPositionHash, encode, judge
from monitor.shared import codec
from monitor.shared.changes import Change, Edit, Position
from monitor.shared.entities.topics import Ivr
from monitor.shared.errors import Fenced, HistoryLost
from monitor.shared.redis.key_names import RedisCommand, SpaceKeys

KEYS = SpaceKeys("pbx", "live")
OURS = Position("000000000000100-aaaa", 7)


def stored(epoch: str, seq: int, id_: str) -> StoredPositionHash:
    return StoredPositionHash(Position(epoch, seq), id_)


def test_the_position_that_was_written_last_lets_the_writer_go_on() -> None:
    assert judge(stored(OURS.epoch, 7, "id7"), OURS, "id7", "id8") == "go on"


def test_one_ahead_by_the_publish_under_way_is_done_already() -> None:
    assert judge(stored(OURS.epoch, 8, "id8"), OURS, "id7", "id8") == "done already"


@pytest.mark.parametrize("epoch", ["000000000000101-aaaa", "000000000000099-aaaa"])
def test_another_epoch_newer_or_older_fences(epoch: str) -> None:
    with pytest.raises(Fenced):
        judge(stored(epoch, 7, "id7"), OURS, "id7")


@pytest.mark.parametrize(
    "found",
    [
        None,
        stored(OURS.epoch, 6, "id6"),
        stored(OURS.epoch, 7, "not ours"),
        stored(OURS.epoch, 8, "not ours"),
        stored(OURS.epoch, 9, "id8"),
    ],
)
def test_a_store_that_is_empty_or_behind_or_not_as_we_left_it_has_lost_history(
    found: StoredPositionHash | None,
) -> None:
    with pytest.raises(HistoryLost):
        judge(found, OURS, "id7", "id8")


def test_a_position_without_an_epoch_is_none() -> None:
    assert StoredPositionHash.parse(None, None, "000000000000101-aaaa") is None


def test_a_batch_writes_state_log_position_and_announcement_in_this_order() -> None:
    edits = (Edit("ivrs", "1", None, Ivr("1", "one")), Edit("ivrs", "2", Ivr("2", "two"), None))
    change = Change(Position("000000000000001-a", 3), "2026-01-01T00:00:00.000Z", edits)
    commands = encode(KEYS, change, "id", 100).commands
    assert [command[:2] for command in commands] == [
        ("HSET", KEYS.state("ivrs")),
        ("HDEL", KEYS.state("ivrs")),
        ("XADD", KEYS.log),
        ("HSET", KEYS.position),
        ("PUBLISH", KEYS.channel),
    ]
    assert codec.decode_announcement(_bytes(commands[-1])) == change


def test_a_change_over_64_kib_is_announced_by_its_position_only() -> None:
    edits = tuple(Edit("ivrs", str(i), None, Ivr(str(i), "x" * 1000)) for i in range(70))
    change = Change(Position("000000000000001-a", 3), "2026-01-01T00:00:00.000Z", edits)
    commands = encode(KEYS, change, "id", 100).commands
    assert codec.decode_announcement(_bytes(commands[-1])) == codec.Heartbeat(
        "000000000000001-a", 3, change.at
    )
    assert any(
        command[0] == "XADD" and codec.decode_change(_bytes(command)) == change
        for command in commands
    )


def _bytes(command: RedisCommand) -> bytes:
    word = command[-1]
    assert isinstance(word, bytes)
    return word
