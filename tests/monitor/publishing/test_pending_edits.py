"""Test edits that wait to be published."""

from __future__ import annotations

from monitor.publishing.pending_edits import PendingEdits
from monitor.shared.changes import Edit
from monitor.shared.entities import topics

IVR = topics.Ivr("700", "Main")
OTHER = topics.Ivr("700", "Night")


def test_what_came_and_went_while_nothing_could_be_written_takes_no_room() -> None:
    pending = PendingEdits()
    for number in range(1_000):
        pending.add((Edit("ivrs", str(number), None, IVR),))
        pending.add((Edit("ivrs", str(number), IVR, OTHER), Edit("ivrs", str(number), OTHER, None)))
    assert len(pending) == 0
    pending.add((Edit("ivrs", "7", None, OTHER),))
    assert pending.take() == (Edit("ivrs", "7", None, OTHER),)


def test_several_edits_of_one_entity_are_one_and_those_that_cancel_out_are_none() -> None:
    pending = PendingEdits()
    pending.add(
        (
            Edit("ivrs", "700", IVR, None),
            Edit("ivrs", "701", IVR, OTHER),
            Edit("ivrs", "702", IVR, OTHER),
        )
    )
    pending.add(
        (
            Edit("ivrs", "700", None, OTHER),
            Edit("ivrs", "701", OTHER, IVR),
            Edit("ivrs", "702", OTHER, None),
        )
    )
    assert pending.take() == (Edit("ivrs", "700", IVR, OTHER), Edit("ivrs", "702", IVR, None))
    assert len(pending) == 0
