"""Write the results of a soak as text."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from tests.bench.processes import machine
from tests.soak.day import Day, Plan

_KINDS = (
    "A quarter each reads at once, rests after each frame, reads nothing for up to 90 s, or "
    "leaves and comes back."
)


def report(day: Day) -> str:
    """Markdown."""
    plan = day.plan
    took = sorted(each.took for each in day.rounds)
    life = plan.minutes * plan.speed / 60
    lines = [
        "# Soak",
        "",
        f"`{_command(day.plan)}`",
        "",
        f"Machine: {machine()}. Two monitors, two gateways, a Redis and the subscribers share it.",
        "",
        (
            f"- {plan.minutes:g} minutes, {life:.1f} hours at {plan.speed:g} times life's speed; "
            f"{day.calls:,} calls."
        ),
        (
            f"- {plan.subscribers:,} subscribers on two gateways; one in twenty watches all "
            f"topics. {_KINDS}"
        ),
        (
            f"- They came {day.came:,} times, lost {day.reconnects:,} connections and resumed "
            f"{day.resumed:,} times."
        ),
        (
            f"- {len(day.rounds)} times the traffic stood still, with {_at_once(day):.0f} calls at "
            f"once. {_right(took)}"
        ),
        (
            f"- Resident memory of the gateway that was never stopped: "
            f"{_trend([each.gateway for each in day.rounds])}."
        ),
        f"- Of a monitor: {_trend([each.monitors for each in day.rounds])}.",
        "",
        (
            "Meanwhile, at random, and how long it took from when the traffic stood still until "
            "everybody held the truth:"
        ),
        "",
        "| fault | times | in the middle | at most |",
        "|---|--:|--:|--:|",
        *_after_each(day),
    ]
    return "\n".join(lines) + "\n"


def _after_each(day: Day) -> Iterator[str]:
    for name in sorted({each.happened for each in day.rounds}):
        took = [each.took for each in day.rounds if each.happened == name]
        yield f"| {name} | {len(took)} | {median(took):.1f} s | {max(took):.1f} s |"


def _right(took: list[float]) -> str:
    held = (
        f"Everybody held the PBX's own truth after {median(took):.1f} s in the middle, "
        f"{took[-1]:.1f} s at most."
    )
    return (
        f"{held} Most of that the subscribers take themselves, who read what they missed on "
        f"the same cores."
    )


def _command(plan: Plan) -> str:
    faults = " --faults" if plan.faults else ""
    return (
        f"python -m tests.soak --minutes {plan.minutes:g} --subscribers {plan.subscribers} --rate "
        f"{plan.rate:g} "
        f"--speed {plan.speed:g} --seed {plan.seed}{faults}"
    )


def _at_once(day: Day) -> float:
    return median(each.calls for each in day.rounds)


def _trend(sizes: list[int]) -> str:
    """The middle size of each quarter of the run."""
    step = max(1, len(sizes) // 4)
    quarters = [
        median(sizes[begin : begin + step])
        for begin in range(0, step * 4, step)
        if sizes[begin : begin + step]
    ]
    return (
        ", ".join(f"{size / 2**20:.0f}" for size in quarters)
        + " MiB in the four quarters of the run"
    )
