"""Test that copies of a command's record merge to the same in any order and number."""

from __future__ import annotations

from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from monitor.persistence.command_record import (
    MAX_RECORD_BYTES,
    CommandRecord,
    Stage,
    decode_record,
    encode_record,
    merged,
)
from monitor.shared.api_keys import StoredKey, newest
from monitor.shared.codec import Malformed

texts = st.sampled_from(["", "success", "outcome_unknown", "begun"])
records = st.builds(
    CommandRecord,
    *(st.just(text) for text in ("1", "main")),
    st.sampled_from([1.0, 2.0]),
    *(st.just(text) for text in ("gateway", "tester", "", "ext.del", "")),
    texts,
    st.sampled_from(Stage),
    st.sampled_from([None, "digest"]),
    st.just("f"),
    st.sampled_from([None, b"done", b"done otherwise"]),
)
keys = st.builds(
    StoredKey,
    st.just("wall"),
    st.sampled_from(["a" * 64, "b" * 64]),
    st.just(("read",)),
    st.sampled_from([1.0, 2.0, 3.0]),
    revoked=st.booleans(),
)


@given(st.lists(records, min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_copies_of_a_record_come_to_the_same_in_any_order(
    copies: list[CommandRecord], random: object
) -> None:
    expected = reduce(merged, copies)
    again = [*copies, *copies]
    random.shuffle(again)  # type: ignore[attr-defined]  # hypothesis' own random.Random
    assert reduce(merged, again) == expected
    assert merged(expected, expected) == expected
    assert expected.stage == max(copy.stage for copy in copies), (
        "what is further is never taken back"
    )


@given(st.lists(keys, min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_changes_of_a_key_come_to_the_same_and_no_older_grant_beats_a_revocation(
    changes: list[StoredKey], random: object
) -> None:
    expected = reduce(newest, changes)
    again = [*changes, *changes]
    random.shuffle(again)  # type: ignore[attr-defined]  # likewise
    assert reduce(newest, again) == expected
    revoked = [change.changed_at for change in changes if change.revoked]
    if revoked and max(revoked) == max(change.changed_at for change in changes):
        assert expected.revoked


@given(records)
def test_a_record_is_read_as_it_was_written(record: CommandRecord) -> None:
    assert decode_record(encode_record(record)) == record


@given(st.binary(max_size=200))
def test_any_bytes_are_a_record_or_malformed(data: bytes) -> None:
    try:
        decode_record(data)
    except Malformed:
        return


def test_an_outcome_that_is_too_large_for_redis_is_left_out_there() -> None:
    record = CommandRecord("1", "main", 1.0, "", "", "", "", "", outcome=b"x" * MAX_RECORD_BYTES)
    assert decode_record(encode_record(record)).outcome is None


@pytest.mark.parametrize("at", [float("nan"), float("inf"), -1.0, 1e12])
def test_a_time_that_no_clock_shows_is_malformed(at: float) -> None:
    with pytest.raises(Malformed):
        decode_record(encode_record(CommandRecord("1", "main", at, "", "", "", "", "")))


class Monitors(RuleBasedStateMachine):
    """Run two monitors, a log between them that is sometimes emptied, and one command."""

    def __init__(self) -> None:
        super().__init__()
        self.files: list[CommandRecord | None] = [None, None]
        self.log: list[CommandRecord] = []
        self.read = [0, 0]
        self.furthest: CommandRecord | None = None
        self.lost = False

    @rule(which=st.sampled_from([0, 1]), record=records)
    def a_monitor_writes_something_down(self, which: int, record: CommandRecord) -> None:
        self._keep(which, record)
        self.log.append(record)
        self.furthest = record if self.furthest is None else merged(self.furthest, record)

    @rule(which=st.sampled_from([0, 1]))
    def a_monitor_reads_the_log(self, which: int) -> None:
        for record in self.log[self.read[which] :]:
            self._keep(which, record)
        self.read[which] = len(self.log)

    @rule()
    def redis_is_emptied(self) -> None:
        self.log, self.read = [], [0, 0]
        for which in (0, 1):  # each offers what its own file holds
            held = self.files[which]
            if held is not None:
                self.log.append(held)

    @rule(which=st.sampled_from([0, 1]))
    def a_monitor_reads_all_again(self, which: int) -> None:
        self.read[which] = 0
        self.a_monitor_reads_the_log(which)

    @invariant()
    def once_both_have_read_both_know_all(self) -> None:
        files = []
        for which in (0, 1):
            known = [record for record in (self.files[which], *self.log) if record is not None]
            files.append(reduce(merged, known) if known else None)
        assert files[0] == files[1] == self.furthest

    def _keep(self, which: int, record: CommandRecord) -> None:
        held = self.files[which]
        self.files[which] = record if held is None else merged(held, record)


TestMonitors = Monitors.TestCase
