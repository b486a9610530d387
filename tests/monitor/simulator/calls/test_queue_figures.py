"""Test how the simulated PBX counts its queues' callers."""

from __future__ import annotations

from monitor.simulator.calls.queue_figures import QueueFigures
from tests.monitor.simulator.exchange_bench import AGENTS, CALLER, Bench

NONE = {"waiting": 0, "ringing": 0, "offered": 0, "answered": 0, "abandoned": 0}


def counted(figures: QueueFigures, queue: str = "800") -> dict[str, float]:
    return {name: figure for name, figure in figures.of(queue).items() if "_wait" not in name}


def test_waits_are_those_of_the_callers() -> None:
    bench = Bench()
    figures = QueueFigures(bench.switchboard, lambda _: None, lambda: True)
    call = bench.switchboard.arrive("10002", CALLER)
    bench.switchboard.route(call, "800")
    bench.now += 20
    assert figures.of("800")["longest_wait"] == 20, "of a caller that still waits"
    bench.switchboard.poll(call, [AGENTS[0]])
    bench.switchboard.answer(call, AGENTS[0])
    assert (figures.of("800")["average_wait"], figures.of("800")["longest_wait"]) == (20, 20)
    other = bench.switchboard.arrive("10002", CALLER)
    bench.switchboard.route(other, "800")
    bench.now += 30
    bench.switchboard.end(other)
    assert (figures.of("800")["average_wait"], figures.of("800")["longest_wait"]) == (20, 30)


def test_a_caller_who_comes_twice_counts_twice() -> None:
    bench = Bench()
    figures = QueueFigures(bench.switchboard, lambda _: None, lambda: False)
    assert counted(figures) == NONE
    call = bench.switchboard.arrive("10002", CALLER)
    bench.switchboard.route(call, "800")
    bench.switchboard.poll(call, [AGENTS[0]])
    bench.switchboard.answer(call, AGENTS[0])
    bench.switchboard.transfer(call, AGENTS[0], "800")
    assert counted(figures) == {**NONE, "waiting": 1, "offered": 2, "answered": 1}
    bench.switchboard.end(call)
    assert counted(figures) == {**NONE, "offered": 2, "answered": 1, "abandoned": 1}
    figures.forget()
    assert counted(figures) == NONE


def test_a_queue_is_told_of_only_while_somebody_watches_and_nothing_else_is() -> None:
    bench, told, watched = Bench(), list[str](), False
    figures = QueueFigures(bench.switchboard, told.append, lambda: watched)
    first = bench.switchboard.arrive("10002", CALLER)
    bench.switchboard.route(first, "800")
    assert told == []
    watched = True
    bench.talk("100")
    assert told == [], "a call that is in no queue"
    bench.switchboard.poll(first, [AGENTS[0]])
    assert told == ["800"]
    assert counted(figures)["ringing"] == 1
