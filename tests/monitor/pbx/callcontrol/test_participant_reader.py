"""Test the order of answers and events; the test gives the PBX's answers by hand."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from monitor.pbx.callcontrol import participant_reader
from monitor.pbx.callcontrol.participant_reader import (
    FullReadPacing,
    ParticipantFact,
    ParticipantReader,
)
from monitor.pbx.clock import PbxClock
from monitor.pbx.facts import Participant, ParticipantGone, ParticipantSeen, ParticipantsRead
from monitor.pbx.parsing.callcontrol import FullState
from monitor.shared.errors import PbxGarbled, PbxRefused, PbxUnreachable, TokenRefused
from tests.steps import steps

Answer = Participant | None | Exception
_BRISK = FullReadPacing(full_read_gap=0.0)


class ByHand:
    """Questions wait here until the test answers them."""

    def __init__(self) -> None:
        self.reads: dict[tuple[str, int], list[asyncio.Future[Answer]]] = defaultdict(list)
        self.fulls: list[asyncio.Future[FullState | Exception]] = []
        self.full_asked = asyncio.Event()
        self.most = 0
        self.cancelled: Exception | None = None
        """What becomes of a read that is cancelled; None: just that."""

    async def participant(self, dn: str, participant_id: int) -> Participant | None:
        waiting: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.reads[dn, participant_id].append(waiting)
        self.most = max(self.most, self.in_flight)
        try:
            answer = await waiting
        except asyncio.CancelledError:
            if self.cancelled is None:
                raise
            answer = self.cancelled
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def full_state(self) -> FullState:
        waiting: asyncio.Future[FullState | Exception] = asyncio.get_running_loop().create_future()
        self.fulls.append(waiting)
        self.full_asked.set()
        answer = await waiting
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def in_flight(self) -> int:
        return sum(not future.done() for futures in self.reads.values() for future in futures)

    def asked(self, participant_id: int, dn: str = "100") -> int:
        return len(self.reads[dn, participant_id])


class Scene:
    def __init__(self, tasks: asyncio.TaskGroup, parallel: int, pace: FullReadPacing) -> None:
        self.pbx = ByHand()
        self.facts: list[ParticipantFact] = []
        self.clock = PbxClock()
        self.clock.learn(1000.0, 0.0, 0.0)
        self.of = ParticipantReader(
            self.pbx, self.facts.append, self.clock, parallel, lambda: None, pace
        )
        self.running = tasks.create_task(self.of.run())

    def event(
        self, participant_id: int, heard: float = 1.0, with_body: Participant | None = None
    ) -> None:
        self.of.upserted("100", participant_id, with_body, heard)

    async def answer(self, participant_id: int, answer: Answer) -> None:
        next(f for f in self.pbx.reads["100", participant_id] if not f.done()).set_result(answer)
        await settle()

    async def full(self, *participants: Participant) -> ParticipantsRead:
        await self.full_asked()
        next(f for f in self.pbx.fulls if not f.done()).set_result(
            FullState(participants, {"100": "Wextension"})
        )
        await settle()
        fact = self.facts[-1]
        assert isinstance(fact, ParticipantsRead)
        return fact

    async def full_asked(self, times: int | None = None) -> None:
        """Wait until a full read waits for its answer, or until that many were asked for."""
        fulls = self.pbx.fulls
        async with asyncio.timeout(60):
            while (len(fulls) < times) if times else all(full.done() for full in fulls):
                self.pbx.full_asked.clear()
                await self.pbx.full_asked.wait()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def leg(participant_id: int, status: str = "Ringing") -> Participant:
    return Participant(participant_id, "100", status, 7, 1)


@asynccontextmanager
async def scene(parallel: int = 64, pace: FullReadPacing = _BRISK) -> AsyncIterator[Scene]:
    """A scene after its first full read, which found nothing."""
    async with asyncio.TaskGroup() as tasks:
        it = Scene(tasks, parallel, pace)
        await it.full()
        it.facts.clear()
        yield it
        it.running.cancel()
        for full in it.pbx.fulls:
            full.cancel()
        for reads in it.pbx.reads.values():
            for read in reads:
                read.cancel()


async def test_an_event_is_followed_by_a_read() -> None:
    async with scene() as it:
        it.event(1, heard=5.0)
        await settle()
        await it.answer(1, leg(1))
        assert it.facts == [ParticipantSeen(leg(1), 5.0, 1005.0)]


async def test_events_that_come_during_a_read_are_gathered_into_one_more() -> None:
    async with scene() as it:
        for heard in (1.0, 2.0, 3.0, 4.0):
            it.event(1, heard)
            await settle()
        assert it.pbx.asked(1) == 1
        await it.answer(1, leg(1))
        assert it.pbx.asked(1) == 2
        await it.answer(1, leg(1, "Connected"))
        assert it.pbx.asked(1) == 2
        assert [
            (f.participant.status, f.heard) for f in it.facts if isinstance(f, ParticipantSeen)
        ] == [
            ("Ringing", 1.0),
            ("Connected", 4.0),
        ]


async def test_participants_are_read_side_by_side_within_bounds() -> None:
    async with scene(parallel=8) as it:
        for participant_id in range(30):
            it.event(participant_id)
        await settle()
        assert it.pbx.in_flight == 8
        assert it.of.lag == 22
        for participant_id in range(30):
            await it.answer(participant_id, leg(participant_id))
        assert it.pbx.most == 8
        assert len(it.facts) == 30


async def test_remove_counts_at_once_and_voids_a_read_under_way() -> None:
    async with scene() as it:
        it.event(1, 1.0)
        await settle()
        it.of.removed("100", 1, 2.0)
        await it.answer(1, leg(1))
        assert [type(f) for f in it.facts] == [ParticipantGone]
        assert it.pbx.asked(1) == 1


async def test_of_one_who_is_gone_it_is_told_how_many_events_no_read_has_shown() -> None:
    async with scene() as it:
        for participant_id in (1, 2, 3):
            it.event(participant_id, 1.0)
        await settle()
        await it.answer(1, leg(1, "Ringing"))
        it.event(2, 2.0)
        await it.answer(3, leg(3, "Ringing"))
        it.event(3, 2.0)
        await settle()
        for participant_id in (1, 2, 3):
            it.of.removed("100", participant_id, 3.0)
        gone = [fact for fact in it.facts if isinstance(fact, ParticipantGone)]
        assert [(fact.participant_id, fact.unread) for fact in gone] == [(1, 0), (2, 2), (3, 1)]


async def test_events_of_the_same_moment_tell_of_one_thing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(participant_reader, "_STANDSTILL_S", 60.0)
    async with scene() as it:
        for participant_id in (1, 2):
            it.event(participant_id, 1.0)
        await settle()
        await it.answer(1, leg(1, "Ringing"))
        it.event(1, 3.0)  # with its removal
        it.event(2, 1.01)  # twice, as events often come
        for participant_id in (1, 2):
            it.of.removed("100", participant_id, 3.01)
        assert [fact.unread for fact in it.facts if isinstance(fact, ParticipantGone)] == [0, 1]


async def test_events_that_came_together_are_one_however_late_they_are_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(participant_reader, "_STANDSTILL_S", 60.0)
    async with scene() as it:
        it.event(1, 1.0)
        await settle()
        await it.answer(1, leg(1, "Ringing"))
        it.of.upserted("100", 1, None, 3.0, 2.9)
        it.of.removed("100", 1, 3.3, 2.9)
        assert [fact.unread for fact in it.facts if isinstance(fact, ParticipantGone)] == [0]


async def test_events_heard_at_once_after_a_standstill_tell_of_one_thing_each() -> None:
    async with scene() as it:
        it.event(1, 1.0)
        await settle()
        await it.answer(1, leg(1, "Ringing"))
        time.sleep(1.2)  # noqa: ASYNC251 - as a process that is stopped for a while
        it.event(1, 3.0)  # an answer, perhaps
        it.event(2, 3.0)
        it.event(2, 3.0)
        for participant_id in (1, 2):
            it.of.removed("100", participant_id, 3.0)
        assert [fact.unread for fact in it.facts if isinstance(fact, ParticipantGone)] == [1, 2]


async def test_an_event_that_came_during_a_read_counts_as_unread_until_it_was_read() -> None:
    async with scene() as it:
        it.event(1, 1.0)
        await settle()
        it.event(1, 2.0)
        await it.answer(1, leg(1, "Ringing"))
        await settle()
        await it.answer(1, None)
        assert [fact.unread for fact in it.facts if isinstance(fact, ParticipantGone)] == [1]


async def test_a_full_read_shows_what_those_had_to_tell_for_whom_it_stood() -> None:
    async with scene(parallel=1, pace=FullReadPacing(full_read_above=1)) as it:
        for participant_id in (1, 2, 3):
            it.event(participant_id)
        await it.full(leg(2, "Ringing"), leg(3, "Ringing"))
        it.of.removed("100", 2, 3.0)
        assert isinstance(it.facts[-1], ParticipantGone)
        assert it.facts[-1].unread == 0
        await it.answer(1, None)


async def test_remove_takes_a_waiting_participant_from_the_line() -> None:
    async with scene(parallel=1) as it:
        it.event(1)
        it.event(2)
        await settle()
        it.of.removed("100", 2, 2.0)
        await it.answer(1, leg(1))
        assert it.pbx.asked(2) == 0


async def test_an_id_that_comes_back_after_its_removal_is_read_anew() -> None:
    async with scene() as it:
        it.event(1, 1.0)
        await settle()
        it.of.removed("100", 1, 2.0)
        it.event(1, 3.0)
        await settle()
        await it.answer(1, leg(1, "Old"))
        await it.answer(1, leg(1, "New"))
        assert [f.participant.status for f in it.facts if isinstance(f, ParticipantSeen)] == ["New"]


async def test_a_body_is_used_as_it_is_and_voids_a_read_under_way() -> None:
    async with scene() as it:
        it.event(1, 1.0)
        await settle()
        it.event(1, 2.0, leg(1, "Connected"))
        await it.answer(1, leg(1, "Ringing"))
        assert [f.participant.status for f in it.facts if isinstance(f, ParticipantSeen)] == [
            "Connected"
        ]
        assert it.pbx.asked(1) == 1


async def test_an_event_during_a_full_read_keeps_its_participant_out_of_it() -> None:
    async with scene() as it:
        it.of.request_full_read()
        await it.full_asked()
        it.event(1, 5.0)
        it.of.removed("100", 2, 5.0)
        read = await it.full(leg(1, "Old"), leg(2, "Gone"), leg(3))
        assert read.kept == {("100", 1), ("100", 2)}
        await it.answer(1, leg(1, "New"))
        assert isinstance(it.facts[-1], ParticipantSeen)


async def test_a_read_under_way_when_a_full_read_begins_keeps_its_participant_out_of_it() -> None:
    async with scene() as it:
        it.event(1)
        await settle()
        it.of.request_full_read()
        await it.full_asked()
        await it.answer(1, None)
        assert isinstance(it.facts[-1], ParticipantGone)
        assert (await it.full(leg(1))).kept == {("100", 1)}


async def test_an_event_before_a_full_read_does_not_keep_its_participant_out() -> None:
    async with scene() as it:
        it.event(1)
        await settle()
        await it.answer(1, leg(1))
        it.of.request_full_read()
        assert (await it.full(leg(1))).kept == frozenset()


async def test_when_too_many_wait_a_full_read_takes_their_place() -> None:
    async with scene(4, FullReadPacing(full_read_above=20)) as it:
        for participant_id in range(40):
            it.event(participant_id)
        await it.full_asked()
        assert it.of.lag == 0
        it.event(30, 9.0)
        read = await it.full(*(leg(i) for i in range(40)))
        assert read.kept == {("100", 0), ("100", 1), ("100", 2), ("100", 3), ("100", 30)}, (
            "those under way, and the one with news"
        )
        for participant_id in (0, 1, 2, 3, 30):
            await it.answer(participant_id, leg(participant_id))
        assert sum(map(it.pbx.asked, range(40))) == 5


async def test_a_full_read_that_fails_gives_back_those_it_stood_for() -> None:
    async with scene(2, FullReadPacing(full_read_above=5)) as it:
        for participant_id in range(10):
            it.event(participant_id)
        await it.full_asked()
        it.pbx.fulls[-1].set_result(PbxUnreachable("busy", retry_after=0.01))
        await it.full_asked(3)
        assert (await it.full()).kept == {("100", 0), ("100", 1)}


async def test_a_full_read_that_fails_for_good_ends_the_session() -> None:
    async def play() -> None:
        async with scene() as it:
            it.of.request_full_read()
            for times in (2, 3, 4):
                await it.full_asked(times)
                it.pbx.fulls[-1].set_result(PbxUnreachable("away", retry_after=0.001))
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as caught:
        await play()
    assert caught.group_contains(PbxUnreachable, match="away")


async def test_a_refused_token_ends_the_session() -> None:
    async def play() -> None:
        async with scene() as it:
            it.event(1)
            await settle()
            await it.answer(1, TokenRefused("revoked"))
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as caught:
        await play()
    assert caught.group_contains(TokenRefused)


@pytest.mark.parametrize(
    "error", [PbxUnreachable("busy"), PbxGarbled("not JSON"), PbxRefused("no", 403)]
)
async def test_a_read_that_fails_is_made_good_by_a_full_read(error: Exception) -> None:
    async with scene() as it:
        it.event(1)
        await settle()
        await it.answer(1, error)
        assert isinstance(await it.full(leg(1)), ParticipantsRead)


async def test_a_404_that_a_remove_event_confirms_is_the_end_of_it() -> None:
    async with scene(pace=FullReadPacing(full_read_gap=0.0, confirm_within=0.6)) as it:
        for participant_id in (1, 2):
            it.event(participant_id)
            await settle()
            await it.answer(participant_id, None)
        assert [type(f) for f in it.facts] == [ParticipantGone, ParticipantGone]
        it.of.removed("100", 1, 2.0)
        it.of.removed("100", 2, 2.0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.8):
                await it.full_asked()


async def test_a_404_that_nothing_confirms_is_looked_into() -> None:
    async with scene(pace=FullReadPacing(confirm_within=0.02)) as it:
        it.event(1)
        await settle()
        await it.answer(1, None)
        assert (await it.full(leg(1))).participants == (leg(1),)


async def test_a_404_with_a_newer_event_is_read_again_before_it_is_believed() -> None:
    async with scene() as it:
        it.event(1, 1.0)
        await settle()
        it.event(1, 2.0)
        await it.answer(1, None)
        assert it.facts == []
        await it.answer(1, leg(1))
        assert [type(f) for f in it.facts] == [ParticipantSeen]


async def test_full_reads_that_are_wanted_often_come_at_intervals() -> None:
    async with scene(pace=FullReadPacing(full_read_gap=0.1)) as it:
        began = it.clock.now()
        for _ in range(3):
            it.of.request_full_read()
            it.of.request_full_read()
            await it.full()
        assert it.clock.now() - began >= 0.2
        assert len(it.pbx.fulls) == 4


async def test_after_a_failed_full_read_each_participant_with_an_event_is_read_once() -> None:
    async with scene(parallel=2, pace=FullReadPacing(full_read_gap=0.0, full_read_above=2)) as it:
        for participant_id in (0, 4, 1, 2, 3):
            it.event(participant_id)
        await it.full_asked()  # 1, 2 and 3 wait for it
        it.of.removed("100", 2, 2.0)
        it.event(1, 3.0)
        await it.answer(0, leg(0))
        assert it.pbx.asked(1) == 1
        it.pbx.fulls[-1].set_result(PbxUnreachable("busy", retry_after=0.05))
        await settle()
        await it.answer(4, leg(4))
        await it.answer(1, leg(1))
        assert isinstance(await it.full(leg(0), leg(1), leg(3), leg(4)), ParticipantsRead)
        assert (it.pbx.asked(1), it.pbx.asked(2)) == (1, 0)
        assert not it.running.done()


async def test_reads_that_fail_while_a_refused_token_ends_the_session_begin_no_others() -> None:
    async def play() -> None:
        async with scene(parallel=2) as it:
            it.pbx.cancelled = PbxUnreachable(
                "no answer in time"
            )  # as aiohttp has it when both come at once
            for participant_id in (1, 2, 3):
                it.event(participant_id)
            await settle()
            it.pbx.reads["100", 1][0].set_result(TokenRefused("revoked"))
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as caught:
        await play()
    assert [type(error) for error in caught.value.exceptions] == [TokenRefused]


async def test_reads_that_fail_while_a_failed_full_read_ends_the_session_begin_no_others() -> None:
    async def play() -> None:
        async with scene(parallel=1) as it:
            it.pbx.cancelled = PbxUnreachable("no answer in time")
            for participant_id in (1, 2):
                it.event(participant_id)
            it.of.request_full_read()
            for times in (2, 3, 4):
                await it.full_asked(times)
                it.event(2)
                it.pbx.fulls[-1].set_result(PbxUnreachable("away", retry_after=0.001))
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as caught:
        await play()
    assert [str(error) for error in caught.value.exceptions] == ["away"]


async def test_looking_for_overdue_removals_costs_the_same_however_many_are_awaited() -> None:
    def cost(awaited: int) -> int:
        reader = it.of
        for number in range(awaited):
            reader._doubt(("100", number))
        reader._doubt(("100", 0))  # again: it is the last to be overdue now
        assert next(iter(reader._unconfirmed)) == ("100", 1)
        work = steps(reader._confirm)
        assert len(reader._unconfirmed) == awaited, "none is overdue"
        assert reader._confirming is not None
        reader._confirming.cancel()
        reader._unconfirmed.clear()
        return work

    async with scene(pace=FullReadPacing(confirm_within=3_600.0)) as it:
        assert cost(4_000) == cost(1_000)
