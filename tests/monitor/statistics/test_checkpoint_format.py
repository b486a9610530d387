"""A day's counts as they are kept: what is read again, and what is refused."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from monitor.shared.codec import Malformed
from monitor.statistics.checkpoint_format import (
    CheckpointEncoder,
    CountedDay,
    SavedStatistics,
    counted_until,
    decode,
    encode,
)
from monitor.statistics.daily_statistics import Statistics
from monitor.statistics.day import Day, day_of
from monitor.statistics.settings import StatisticsSettings
from monitor.statistics.totals import QueueTotals, Totals
from tests.monitor.statistics.counting import Counting
from tests.monitor.statistics.scene import NOON
from tests.steps import steps


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x01", encode(SavedStatistics(version=99))])
def test_what_another_version_kept_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode(data)


@given(
    at=st.integers(-(2**63), 2**63 - 1),
    start=st.integers(-(2**63), 2**63 - 1),
    peak=st.integers(-5, 2**63 - 1),
)
@settings(max_examples=50)
def test_statistics_that_are_read_can_be_counted_on(at: int, start: int, peak: int) -> None:
    data = encode(SavedStatistics(at=at, day=Day("x", "UTC", start, start + 86_400_000), peak=peak))
    try:
        found = decode(data)
    except (Malformed, OverflowError):
        return
    statistics = Statistics(StatisticsSettings(), found)
    statistics.take((), 1_800_000_000.0)
    statistics.tick(1_800_000_001.0)


def test_what_was_counted_is_read_as_it_was_written(pbx: Counting) -> None:
    pbx.wait_and_answer(1, 10, 20)
    pbx.wait_in_vain(2, 3)
    pbx.tell(*pbx.scene.arrive(3))
    pbx.pass_time(61)
    saved = pbx.statistics.saved
    assert saved.tallies.queues
    assert saved.held.open
    assert decode(encode(saved)) == saved


DAY = day_of(int(NOON * 1000), "Europe/Berlin")


@pytest.mark.parametrize(
    "wrong",
    [
        replace(DAY, zone="Mars/Base"),
        replace(DAY, zone="../etc/passwd"),
        replace(DAY, end=DAY.start),
        replace(DAY, end=DAY.start + 27 * 3_600_000),
        replace(DAY, start=0),
    ],
)
def test_a_day_that_is_none_is_refused(wrong: Day) -> None:
    decode(encode(SavedStatistics(at=DAY.start, day=DAY)))
    with pytest.raises(Malformed, match="an impossible day"):
        decode(encode(SavedStatistics(at=DAY.start, day=wrong)))


def test_what_was_kept_before_yesterday_was_counted_is_read(pbx: Counting) -> None:
    pbx.wait_and_answer(1, 10, 20)
    pbx.tell(*pbx.scene.arrive(2))
    pbx.tell(*pbx.scene.wait(2, "800"))
    pbx.pass_time(61)
    kept = msgspec.msgpack.decode(encode(pbx.statistics.saved))
    del kept["previous"]
    for tally in kept["tallies"]["queues"].values():
        del tally["diverted_waits"], tally["callbacks"], tally["callbacks_failed"]
    for account in kept["held"]["open"].values():
        del account["callback_of"]
    assert decode(msgspec.msgpack.encode(kept)) == pbx.statistics.saved


def test_a_day_before_that_is_not_the_day_before_is_refused() -> None:
    before = day_of(DAY.start - 1, "Europe/Berlin")
    saved = SavedStatistics(at=DAY.start, day=DAY)
    saved.previous = CountedDay(before, 0, 0, None, Totals())
    assert decode(encode(saved)) == saved
    for wrong in (DAY, day_of(before.start - 1, "Europe/Berlin"), replace(before, zone="Mars")):
        saved.previous = CountedDay(wrong, 0, 0, None, Totals())
        with pytest.raises(Malformed, match=r"do not follow|an impossible day"):
            decode(encode(saved))
    saved.previous = CountedDay(before, 0, 0, None, Totals(queues={"800": QueueTotals(-1)}))
    with pytest.raises(Malformed, match="the number -1"):
        decode(encode(saved))


@pytest.mark.parametrize("number", [-1, 2**53 + 1])
def test_a_number_that_nobody_can_have_counted_is_refused(number: int) -> None:
    tallies = Totals(queues={"800": QueueTotals(offered=number)})
    with pytest.raises(Malformed, match=f"the number {number}"):
        decode(encode(SavedStatistics(tallies=tallies)))


def test_what_was_counted_in_the_future_would_win_over_all_and_is_refused() -> None:
    day_ahead = int((NOON + 86_400) * 1000)
    assert counted_until(encode(SavedStatistics(at=day_ahead)), NOON) == day_ahead
    with pytest.raises(Malformed, match="in the future"):
        counted_until(encode(SavedStatistics(at=day_ahead + 1)), NOON)


def test_the_time_is_read_without_the_rest_and_of_this_version_alone(pbx: Counting) -> None:
    pbx.wait_and_answer(1, 10, 20)
    pbx.pass_time(61)
    data = encode(pbx.statistics.saved)
    assert counted_until(data, NOON) == pbx.statistics.saved.at
    assert steps(lambda: counted_until(data, NOON)) < 20
    for wrong in (data[:-1], encode(SavedStatistics(version=99)), b"\xc1", b"\x01"):
        with pytest.raises(Malformed):
            counted_until(wrong, NOON)


def test_what_is_encoded_again_and_again_is_what_is_encoded_anew(pbx: Counting) -> None:
    encoder = CheckpointEncoder()
    for call in range(30):
        pbx.wait_and_answer(call, 10, 20)
        if call % 3 == 0:
            pbx.tell(*pbx.scene.arrive(100 + call))
        if call % 5 == 0:
            pbx.restart()
        assert decode(encoder.encode(pbx.statistics.saved)) == pbx.statistics.saved
        assert encoder.encode(pbx.statistics.saved) == encode(pbx.statistics.saved)
    assert len(pbx.statistics.saved.held.closed) > 1


def test_a_text_that_looks_like_a_wrong_number_is_none(pbx: Counting) -> None:
    pbx.tell(*pbx.scene.arrive(1))
    pbx.tell(*pbx.scene.wait(1, "800"))
    saved = pbx.statistics.saved
    [account] = saved.held.open.values()
    saved.held.open[1] = replace(account, caller="9" * 20)
    saved.tallies.queues["8-0"] = QueueTotals(offered=2**53)
    assert decode(encode(saved)) == saved
