"""Say how what callmon counts for one call differs from the call's story. See ``differences``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

from monitor.shared.entities import topics
from monitor.shared.entities.statistics import (
    EXTENSION_STATS,
    PBX_ID,
    PBX_STATS,
    QUEUE_STATS,
    Durations,
    ExtensionStats,
    PbxStats,
    QueueStats,
    Traffic,
)
from monitor.statistics.daily_statistics import Statistics
from tests.comparison.differences import (
    BETWEEN_READS,
    Difference,
    Excuse,
    late_queue,
    off,
    undecided,
)
from tests.comparison.evidence import Evidence
from tests.truth.calls import Story
from tests.truth.figures import Day, Lasted, LineDay, PhoneDay, QueueDay

_TENTH: Final = 0.06
"""Seconds; figures are rounded to the tenth."""
_SOON: Final = 2.0
"""Seconds; callmon's statistics may take what is told so soon for one event."""
_Count: TypeAlias = tuple[str, int, int, Excuse | None]
"""A word, the count that is held, the true one, and why they may differ."""


def figures(
    story: Story, held: Statistics | None, evidence: Evidence | None
) -> Iterator[Difference]:
    """The differences of what one call counts for."""
    if evidence is None:
        return
    if held is None:
        yield Difference(story.id, "counted nowhere", "", story.outcome)
        return
    today = held.saved.day
    if today is None:
        raise ValueError("nothing was counted on any day")
    yield from _day(story, Day.of((story,), today.start / 1000), held.figures, evidence)
    if held.saved.previous is not None:
        before = held.saved.previous.day
        truly = Day.of((story,), before.start / 1000, before.end / 1000)
        yield from _day(story, truly, _yesterday(held), evidence)


def _yesterday(held: Statistics) -> topics.State:
    """The figures of the day before."""
    days = (QueueStats, ExtensionStats, PbxStats)
    return {
        topic: {
            num: entity.yesterday
            for num, entity in table.items()
            if isinstance(entity, days) and entity.yesterday is not None
        }
        for topic, table in held.figures.items()
    }


def _day(story: Story, day: Day, held: topics.State, evidence: Evidence) -> Iterator[Difference]:
    """The differences of what one call counts for in one day."""
    for num, true in day.queues.items():
        queue = held[QUEUE_STATS].get(num)
        named = _named(story, num, day, evidence)
        if not isinstance(queue, QueueStats) or not queue.offered:
            yield Difference(story.id, "queue's offered 0", "0", str(true.offered), named)
        else:
            yield from _queue(story, true, queue, evidence, named)
    for num, whole in day.phones.items():
        phone = held[EXTENSION_STATS].get(num)
        told = evidence.names({num}) and (num not in evidence.visible or evidence.read(num))
        named = None if told else "party not named"
        if not isinstance(phone, ExtensionStats) or not phone.offered + phone.placed:
            word = "placed" if whole.placed else "offered"
            yield Difference(story.id, f"phone's {word} 0", f"{num} 0", "1", named)
        else:
            yield from _phone(story, whole, phone, evidence)
    yield from _strangers(story, day, held, evidence)
    yield from _directions(story, day, held, evidence)


def sums(whole: Statistics, parts: Counter[str]) -> Iterator[Difference]:
    """The counts of the whole day that are not the sums of the counts of its calls."""
    mine = counts(whole)
    for what in sorted(mine.keys() | parts.keys()):
        if mine[what] != parts[what]:
            kind = f"day is not the sum of its calls: {what.rpartition(' ')[2]}"
            yield Difference(0, kind, f"{what} {mine[what]}", str(parts[what]))


def counts(statistics: Statistics) -> Counter[str]:
    """All counts: date, subject and word → number."""
    found: Counter[str] = Counter()
    for day, num, entity in (*_dated(statistics.figures), *_dated(_yesterday(statistics))):
        for word in entity.__struct_fields__:
            value = getattr(entity, word)
            if isinstance(value, int) and word not in ("target", "short_below"):
                found[f"{day} {num} {word}"] += value
            elif isinstance(value, Durations):
                found[f"{day} {num} {word}.count"] += value.count
    return +found


def _dated(
    held: topics.State,
) -> Iterator[tuple[str, str, QueueStats | ExtensionStats | Traffic]]:
    pbx = held[PBX_STATS].get(PBX_ID)
    if isinstance(pbx, PbxStats):
        yield from ((pbx.date, kind, traffic) for kind, traffic in _traffics(held))
    for num, entity in (*held[QUEUE_STATS].items(), *held[EXTENSION_STATS].items()):
        if isinstance(entity, QueueStats | ExtensionStats):
            yield entity.date, num, entity


def _traffics(held: topics.State) -> Iterator[tuple[str, Traffic]]:
    pbx = held[PBX_STATS].get(PBX_ID)
    if isinstance(pbx, PbxStats):
        yield from ((kind, getattr(pbx, kind)) for kind in ("inbound", "outbound", "internal"))


def _queue(
    story: Story, true: QueueDay, mine: QueueStats, evidence: Evidence, named: Excuse | None
) -> Iterator[Difference]:
    hidden = named or undecided(story, evidence)
    late = named or late_queue(story, evidence, mine.num)
    yield from _counted(
        story,
        "queue's",
        mine.num,
        (
            ("offered", mine.offered, true.offered, named),
            ("answered", mine.answered, true.answered, hidden),
            ("abandoned", mine.abandoned + mine.short_abandoned, true.abandoned, hidden),
            ("diverted", mine.diverted, true.diverted, hidden),
            ("unknown", mine.unknown, 0, hidden),
            ("waiting", mine.waiting, 0, named),
        ),
    )
    slack = 2 * BETWEEN_READS
    yield from _lasted(story, "queue's waits", mine.waits, true.waits, slack, late)
    yield from _lasted(story, "queue's abandons", mine.abandons, true.abandons, slack, late)
    yield from _lasted(story, "queue's talks", mine.talks, true.talks, slack, hidden)


def _phone(
    story: Story, true: PhoneDay, mine: ExtensionStats, evidence: Evidence
) -> Iterator[Difference]:
    if mine.placed != true.placed:
        kind = "placed call counts as received" if true.placed else "received call counts as placed"
        yield Difference(story.id, f"phone's {kind}", mine.num, "")
        return
    seen = mine.num in evidence.visible
    hidden: Excuse | None = None if seen else "phone not monitored"
    if seen and not evidence.read(mine.num):
        hidden = "party not named"
    queue = hidden or late_queue(story, evidence)
    answer = None if seen else undecided(story, evidence)
    yield from _counted(
        story,
        f"{_circumstances(story, mine.num)}phone's",
        mine.num,
        (
            ("offered", mine.offered, true.offered, None),
            ("answered", mine.answered, true.answered, answer),
            ("missed", mine.missed, true.missed, hidden),
            ("elsewhere", mine.elsewhere, true.elsewhere, hidden),
            ("abandoned", mine.abandoned + mine.short_abandoned, true.abandoned, hidden),
            ("queue_offered", mine.queue_offered, true.queue_offered, queue),
            ("queue_answered", mine.queue_answered, true.queue_answered, queue),
            ("placed_answered", mine.placed_answered, true.placed_answered, answer),
            ("unknown", mine.unknown, 0, hidden),
            ("ringing", mine.ringing, 0, hidden),
        ),
    )
    late: Excuse | None = None if _phases_told(story, evidence, mine.num) else "party not named"
    rings = _TENTH + evidence.latency if seen else 2 * BETWEEN_READS
    talks = _talk_slack(story, evidence) if seen else 2 * BETWEEN_READS
    yield from _lasted(story, "phone's waits", mine.waits, true.waits, rings, late)
    yield from _lasted(story, "phone's abandons", mine.abandons, true.abandons, rings, late)
    yield from _lasted(story, "phone's talks", mine.talks, true.talks, talks, late)
    placed, truly = mine.placed_talks, true.placed_talks
    yield from _lasted(story, "phone's placed_talks", placed, truly, talks, late)


def _visited(story: Story) -> set[str]:
    return {visit.queue for visit in story.visits}


def _named(story: Story, num: str, day: Day, evidence: Evidence) -> Excuse | None:
    """Why a queue may not have the call on this day: None if it was told in time."""
    for visit in story.visits:
        after = evidence.named_after(num, visit.since)
        if visit.queue == num and (
            after is None or any(visit.since < e <= visit.since + after for e in day.edges)
        ):
            return "queue between two reads"
    return None if evidence.names({num}) else "queue between two reads"


def _circumstances(story: Story, num: str) -> str:
    """What tells one kind of ring from another, in words."""
    if any(act.deed == "transferred" for act in story.acts):
        return "transferred call: "
    turn = story.turns.get(num)
    if turn is None or turn.until is None or turn.how == "answered":
        return ""
    soon = (act.at - turn.until for act in story.acts if act.deed in ("picked_up", "ended"))
    return "soon followed ring: " if any(0 < after <= _SOON for after in soon) else ""


def _strangers(
    story: Story, day: Day, held: topics.State, evidence: Evidence
) -> Iterator[Difference]:
    """Queues and phones for which the call counts although it never came to them."""
    for num, queue in held[QUEUE_STATS].items():
        if num not in day.queues and isinstance(queue, QueueStats):
            excuse = None if num not in _visited(story) else _named(story, num, day, evidence)
            yield from _queue(story, QueueDay(), queue, evidence, excuse)
    for num, phone in held[EXTENSION_STATS].items():
        counts = isinstance(phone, ExtensionStats) and phone.offered + phone.placed
        if num not in day.phones and counts:
            heard = next((a.to for a in story.acts if (a.deed, a.dn) == ("listens", num)), "")
            unseen: Excuse | None = (
                "phone not monitored" if heard and heard not in evidence.visible else None
            )
            yield Difference(story.id, "counts for a phone that never rang", num, "", unseen)


def _phases_told(story: Story, evidence: Evidence, num: str) -> bool:
    """Whether each ring and talk of a phone was told while it went on, and soon.

    Of a conference only the conference itself is named.
    """
    if num in evidence.visible:
        return evidence.read(num)
    if any(act.kind == "conference" for act in story.acts):
        return False
    after = [evidence.named_after(dn, since) for dn, since in story.phases if dn == num]
    return all(seconds is not None and seconds <= BETWEEN_READS for seconds in after)


def _talk_slack(story: Story, evidence: Evidence) -> float:
    """Seconds by which a talk may be longer or shorter than it was: what no event told."""
    if any(act.kind == "extension" and act.dn not in evidence.visible for act in story.acts):
        return 2 * BETWEEN_READS
    slack = 0.0 if evidence.answer_heard else BETWEEN_READS
    if not any(dn in evidence.visible for dn in story.parties):
        slack += BETWEEN_READS
    if any(act.deed == "merged" for act in story.acts):
        slack += BETWEEN_READS  # that the talk goes on without the phone is told with the next row
    return slack + _TENTH + evidence.latency


def _directions(
    story: Story, day: Day, held: topics.State, evidence: Evidence
) -> Iterator[Difference]:
    hidden = undecided(story, evidence)
    for kind, mine in _traffics(held):
        true = day.kinds.get(kind, LineDay())
        words = (
            *("calls", "answered", "missed", "abandoned"),
            *("unanswered", "handled", "transferred"),
        )
        yield from _counted(
            story,
            f"PBX's {kind}",
            "the PBX",
            (
                *((word, getattr(mine, word), getattr(true, word), hidden) for word in words),
                ("unknown", mine.unknown, 0, hidden),
                ("pending", mine.pending, 0, hidden),
            ),
        )
        slack = _talk_slack(story, evidence)
        yield from _lasted(story, "PBX's talks", mine.talks, true.talks, slack, hidden)


def _counted(story: Story, whose: str, num: str, counts: Iterable[_Count]) -> Iterator[Difference]:
    for word, has, should, excuse in counts:
        if has != should:
            kind = f"{whose} {word} {has} instead of {should}"
            yield Difference(story.id, kind, f"{has} for {num}", str(should), excuse)


def _lasted(
    story: Story, what: str, has: Durations, should: Lasted, slack: float, excuse: Excuse | None
) -> Iterator[Difference]:
    """The difference of two sums; if the numbers of times differ, that is told elsewhere."""
    late = has.total - should.total
    if has.count == should.count and abs(late) > slack * max(1, should.count):
        kind = f"{what} {off(late)}"
        yield Difference(story.id, kind, f"{has.total:.3f}", f"{should.total:.3f}", excuse)
