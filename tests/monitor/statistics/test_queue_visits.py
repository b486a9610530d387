"""Test how a wait in a queue ended, in the less plain cases."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from monitor.shared.changes import Edit
from monitor.shared.entities import topics
from monitor.shared.timestamps import from_unix
from monitor.statistics.queue_visits import MOST_VISITS
from tests.monitor.statistics.counting import Counting
from tests.monitor.statistics.scene import NOON, system


@pytest.fixture
def pbx() -> Counting:
    """A caller waits in queue 800 since noon."""
    pbx = Counting()
    pbx.tell(*pbx.scene.arrive(1))
    pbx.tell(*pbx.scene.wait(1, "800"))
    return pbx


def test_a_caller_whom_an_outside_phone_takes_was_answered(pbx: Counting) -> None:
    pbx.tell(*pbx.scene.ring(1, "101"))
    pbx.pass_time(12)
    line = pbx.scene.lines[1]
    line.queue, line.answered, line.legs = "", pbx.scene.at, {}
    pbx.tell(*pbx.scene.silence(1, "101"))
    assert (pbx.queue().answered, pbx.queue().waits.total) == (1, 12.0)
    assert pbx.ext("101").elsewhere == 1


def test_an_answer_of_which_only_the_end_tells(pbx: Counting) -> None:
    pbx.pass_time(15)
    gone, ended = pbx.scene.end(1, "answered")
    assert isinstance(ended.after, topics.EndedCall)
    word = replace(ended.after, answered_at=from_unix(NOON + 9))
    pbx.tell(gone, Edit("ended", ended.id, None, word))
    assert (pbx.queue().answered, pbx.queue().waits.total, pbx.queue().talks.total) == (1, 9.0, 6.0)


def test_who_hangs_up_in_the_moment_in_which_he_leaves_the_queue_gave_up_in_it(
    pbx: Counting,
) -> None:
    pbx.pass_time(30)
    pbx.tell(*pbx.scene.menu(1))
    pbx.scene.at += 1
    pbx.tell(*pbx.scene.end(1))
    assert (pbx.queue().abandoned, pbx.queue().diverted, pbx.queue().abandons.total) == (1, 0, 30.0)


def test_a_queue_through_which_a_call_had_come_when_it_was_found_is_counted_but_not_timed() -> None:
    pbx = Counting()
    other = Counting()
    other.tell(*other.scene.arrive(1))
    for queue in ("801", "800"):
        other.tell(*other.scene.wait(1, queue))
        other.pass_time(30)
    other.tell(*other.scene.ring(1, "101"))
    other.tell(*other.scene.answer(1, "101"))
    pbx.scene.at = other.scene.at
    pbx.statistics.reconcile(other.scene.state, other.scene.at)
    assert (pbx.queue("800").diverted, pbx.queue("801").answered) == (1, 1), (
        "which came last, no entity tells"
    )
    assert (pbx.queue("801").waits.count, pbx.queue("801").service_level) == (0, None)


def test_a_state_older_than_what_was_kept_is_no_other_wait(pbx: Counting) -> None:
    """The store lost its last seconds when it failed over; the statistics did not."""
    pbx.tell(*pbx.scene.ring(1, "101"))
    older = dict(pbx.scene.state["calls"])
    pbx.pass_time(9)
    pbx.tell(*pbx.scene.answer(1, "101"))
    pbx.scene.state["calls"].update(older)
    pbx.restart()
    assert (pbx.queue().offered, pbx.queue().answered, pbx.queue().waiting) == (1, 1, 0)


def test_who_was_talked_with_and_waits_again_while_the_pbx_is_out_of_sight(pbx: Counting) -> None:
    pbx.tell(*pbx.scene.ring(1, "101"))
    pbx.tell(*pbx.scene.answer(1, "101"))
    pbx.pass_time(9)
    pbx.tell(*pbx.scene.wait(1, "801"))
    pbx.tell(Edit("system", "pbx", system("connected"), system("lost")))
    pbx.pass_time(300)
    pbx.tell(*pbx.scene.end(1))
    assert (pbx.queue("801").unknown, pbx.queue("801").abandoned) == (1, 0)


def test_a_call_that_goes_round_and_round_counts_no_more_after_a_while(pbx: Counting) -> None:
    for turn in range(3 * MOST_VISITS):
        pbx.pass_time(10)
        pbx.tell(*pbx.scene.wait(1, ("801", "800")[turn % 2]))
    offered = pbx.queue("800").offered + pbx.queue("801").offered
    assert offered == MOST_VISITS
    assert pbx.queue("800").waiting + pbx.queue("801").waiting == 0
    pbx.tell(*pbx.scene.end(1))
    assert pbx.queue("800").abandoned + pbx.queue("801").abandoned == 0
