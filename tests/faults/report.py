"""Write a run as text: a line for each mixture, a table at the end. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tests.faults.faults import KINDS, TARGETS
from tests.faults.ledger import Violation
from tests.faults.mixture import Outcome

_SHOWN = 4
"""Violations of a sort; of more only their number is told."""


def line(outcome: Outcome) -> str:
    """A mixture's seed, faults and outcome, and below it what was wrong."""
    word = "FAILED" if outcome.failed else "documented loss" if outcome.violations else "right"
    faults = "; ".join(map(str, outcome.faults))
    head = (
        f"{outcome.seed}: {word} in {outcome.seconds:.1f} s, well after "
        f"{outcome.well_after:.1f} s, "
        f"{outcome.commands} commands, {outcome.calls} calls: {faults}"
    )
    return "\n".join([head, *_wrong(outcome.violations)])


def table(outcomes: Sequence[Outcome], seconds: float, *, full_disks: bool) -> str:
    """Mixtures by fault and target: how many had it, and of these how many failed."""
    failed = [outcome for outcome in outcomes if outcome.failed]
    losses = [outcome for outcome in outcomes if outcome.violations and not outcome.failed]
    rows: list[list[str]] = [["", *TARGETS]]
    for kind in KINDS:
        row: list[str] = [kind]
        for target in TARGETS:
            having = [
                each
                for each in outcomes
                if any((f.kind, f.target) == (kind, target) for f in each.faults)
            ]
            row.append(
                f"{len(having)}, {sum(each.failed for each in having)} failed" if having else "none"
            )
        rows.append(row)
    text = [
        (
            f"{len(outcomes)} mixtures in {seconds / 60:.1f} minutes: {len(failed)} failed, "
            f"{len(losses)} with losses"
        )
    ]
    text[0] += " that are documented as possible, all others right."
    text += [
        "",
        *("| " + " | ".join(row) + " |" for row in rows[:1]),
        "|" + " --- |" * len(rows[0]),
    ]
    text += ["| " + " | ".join(row) + " |" for row in rows[1:]]
    if not full_disks:
        text += ["", "Disks were not filled: that takes root."]
    if failed:
        text += ["", "Failed: " + ", ".join(outcome.seed for outcome in failed)]
    return "\n".join(text) + "\n"


def _wrong(violations: Sequence[Violation]) -> list[str]:
    sorts: dict[tuple[bool, str], list[Violation]] = {}
    for violation in violations:
        sorts.setdefault((violation.documented, violation.about), []).append(violation)
    found = []
    for (_, about), some in sorted(sorts.items()):
        found += [f"    {violation}" for violation in some[:_SHOWN]]
        if len(some) > _SHOWN:
            found.append(f"    {about}: and {len(some) - _SHOWN} more")
    return found
