"""Make histories of calls for tests by property: any possible steps in any order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from hypothesis import strategies as st

from monitor.shared.changes import Edit
from monitor.shared.entities import topics
from monitor.statistics.checkpoint_format import decode, encode
from monitor.statistics.daily_statistics import Statistics
from monitor.statistics.settings import StatisticsSettings
from tests.monitor.statistics.scene import EXTENSIONS, NOON, QUEUES, Line, Scene


@dataclass(frozen=True)
class Step:
    """So many seconds after the beginning do this to a call."""

    after: float
    call: int
    action: str
    ext: str = EXTENSIONS[0]
    queue: str = QUEUES[0]


Doing: TypeAlias = tuple[str, str, str]
"""Action, extension, queue."""


@st.composite
def _stages(draw: st.DrawFn) -> list[Doing]:
    """What happens to a caller in one place: a queue, a few phones, a menu."""
    queue, exts = draw(st.sampled_from(QUEUES)), draw(st.permutations(EXTENSIONS))
    done: list[Doing] = []
    place = draw(st.sampled_from(["queue", "queue", "phones", "menu"]))
    if place == "queue":
        done.append(("wait", exts[0], queue))
    if place == "menu":
        done.append(("menu", exts[0], queue))
    ringing = draw(st.integers(0, len(exts)))
    for ext in exts[:ringing]:
        done.append(("ring", ext, queue))
        if draw(st.integers(0, 3)) == 0:
            done.append(("silence", ext, queue))
    if ringing and draw(st.booleans()):
        done.append(("answer", exts[draw(st.integers(0, ringing - 1))], queue))
        if draw(st.integers(0, 3)) == 0:
            done.append(("silence", done[-1][1], queue))
    return done


@st.composite
def _calls(draw: st.DrawFn, call: int, shortest: float, longest: float) -> list[Step]:
    """The calls of one id, one after the other; the last may go on."""
    steps: list[Step] = []
    after = 0.0

    def do(*doing: Doing) -> None:
        nonlocal after
        for action, ext, queue in doing:
            after += draw(st.integers(int(shortest * 1000), int(longest * 1000))) / 1000
            steps.append(Step(round(after, 3), call, action, ext, queue))

    for _ in range(draw(st.integers(1, 3))):
        do(
            (
                draw(st.sampled_from(["arrive", "arrive", "dial", "dial_out"])),
                draw(st.sampled_from(EXTENSIONS)),
                "",
            )
        )
        for stage in draw(st.lists(_stages(), min_size=1, max_size=3)):
            do(*stage)
        if draw(st.integers(0, 4)) == 0:
            break
        do(("end", "", ""))
    return steps


@st.composite
def histories(draw: st.DrawFn, shortest: float = 0.001, longest: float = 60.0) -> list[Step]:
    """Draw calls that overlap, with pauses in seconds between the steps of each."""
    steps = [
        step
        for call in range(1, draw(st.integers(2, 4)))
        for step in draw(_calls(call, shortest, longest))
    ]
    return sorted(steps, key=lambda step: step.after)


def played(scene: Scene, steps: list[Step]) -> Iterator[tuple[Edit, ...]]:
    """The edits of each step, from the first on; ``scene.at`` is when."""
    begun = scene.at
    yield scene.begin()
    for step in steps:
        scene.at = round(begun + step.after, 3)
        yield done(scene, step)


def done(scene: Scene, step: Step) -> tuple[Edit, ...]:
    """The edits of a step; none if it cannot be."""
    line = scene.lines.get(step.call)
    if line is None:
        return _begun(scene, step)
    if step.action == "end":
        return scene.end(step.call)
    if line.outside:
        return (
            scene.answer_outside(step.call)
            if step.action == "answer" and line.answered is None
            else ()
        )
    if step.action == "wait":
        return scene.wait(step.call, step.queue) if line.queue != step.queue else ()
    if step.action == "menu":
        return scene.menu(step.call) if not line.menu else ()
    return _at_extension(scene, step, line) if step.ext != line.caller else ()


def _begun(scene: Scene, step: Step) -> tuple[Edit, ...]:
    if step.action == "arrive":
        return scene.arrive(step.call)
    if step.action in ("dial", "dial_out"):
        return scene.dial(step.call, step.ext, outside=step.action == "dial_out")
    return ()


def _at_extension(scene: Scene, step: Step, line: Line) -> tuple[Edit, ...]:
    held = line.legs.get(step.ext, ("", 0.0))[0]
    match step.action:
        case "ring" if held == "":
            return scene.ring(step.call, step.ext)
        case "answer" if held == "Ringing":
            return scene.answer(step.call, step.ext)
        case "silence" if held != "":
            return scene.silence(step.call, step.ext)
    return ()


def counted(
    steps: list[Step], terms: StatisticsSettings | None = None, at: float = NOON
) -> tuple[Statistics, Scene]:
    """A history, counted once from its beginning to its end."""
    scene, statistics = Scene(at), Statistics(terms or StatisticsSettings())
    for edits in played(scene, steps):
        statistics.take(edits, scene.at)
        statistics.tick(scene.at)
    return statistics, scene


def restarted(statistics: Statistics, state: topics.State, at: float) -> Statistics:
    """Another monitor's statistics, that took over what was kept."""
    heir = Statistics(statistics.terms, decode(encode(statistics.saved)))
    heir.reconcile(state, at)
    return heir


def stats_of(statistics: Statistics, topic: str, id_: str) -> Any:
    """Return one entity of the statistics."""
    return statistics.figures[topic][id_]


def all_stats(statistics: Statistics) -> dict[tuple[str, str], Any]:
    """Return all entities of the statistics."""
    return {
        (topic, id_): it for topic, table in statistics.figures.items() for id_, it in table.items()
    }
