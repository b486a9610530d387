"""Test how participants and a row are read in the directory's terms."""

from __future__ import annotations

import dataclasses

from monitor.pbx.facts import ActiveCall, Participant
from monitor.tracking.call_evidence import CallEvidence, CallReading, read_evidence
from monitor.tracking.directory_index import DirectoryIndex
from tests.monitor.tracking.pbx_facts import NOON, directory, participant


def evidence(*participants: Participant, row: ActiveCall | None = None) -> CallEvidence:
    return CallEvidence(
        1, NOON, participants={(p.dn, p.id): p for p in participants}, row=row, row_asked=1.0
    )


def reading(*participants: Participant, row: ActiveCall | None = None) -> CallReading:
    return read_evidence(evidence(*participants, row=row), None, DirectoryIndex(directory()))


def row(caller: str, callee: str, status: str = "Talking") -> ActiveCall:
    return ActiveCall(1, caller, callee, status, NOON, NOON)


def test_of_several_devices_the_one_furthest_on_is_the_leg() -> None:
    said = reading(
        participant("101", 5, 1, "Ringing", "100"),
        participant("101", 7, 1, "Connected", "100"),
        participant("101", 6, 1, "Connected", "100"),
    )
    assert [(leg.participant.id, again) for leg, again in said.legs] == [(6, False)]
    assert said.ringing == {"101"}
    assert said.connected == {"101": 2}


def test_a_trunk_has_its_first_leg_and_one_more() -> None:
    said = reading(
        participant("10000", 2, 1, "Ringing", "101:+48"),
        participant("10000", 1, 1, "Connected", "101:+49"),
        participant("10000", 3, 1, "Connected", "101:+50"),
    )
    assert {(leg.participant.id, again) for leg, again in said.legs} == {(1, False), (3, True)}


def test_call_control_says_what_the_other_side_is_and_else_the_directory() -> None:
    told = participant("101", 1, 1, "Connected", "199")
    untold = Participant(2, "102", "Connected", 1, 1, party_dn="800")
    assert [leg.party_kind for leg in reading(told, untold).listed] == ["extension", "queue"]


def test_a_row_is_parsed_again_only_if_its_texts_or_the_directory_have_changed() -> None:
    directory_index = DirectoryIndex(directory())
    first = read_evidence(evidence(row=row("HOL", "800 Sales")), None, directory_index).parties
    later = evidence(row=row("HOL", "800 Sales", "Routing"))
    assert read_evidence(later, first, directory_index).parties is first
    directory_index.set_kind("HOL", "Wparking")
    learnt = read_evidence(later, first, directory_index).parties
    assert (first.caller.dn, learnt.caller.dn, learnt.caller_kind) == ("", "HOL", "parking")
    other = evidence(row=row("HOL", "101 Ext 101"))
    assert read_evidence(other, learnt, directory_index).parties.callees[0][1] == "extension"


def test_a_row_older_than_the_last_event_is_not_fresh() -> None:
    held = evidence(row=row("100 Ext 100", "101 Ext 101"))
    assert held.fresh
    assert held.talking_since is None, "the time was told with no callee yet"
    told = dataclasses.replace(held, changed=(NOON, "101 Ext 101"))
    assert told.talking_since == NOON
    older = dataclasses.replace(told, heard=2.0)
    assert not older.fresh
    assert older.talking_since is None


def test_another_word_for_talking_counts_where_no_participant_tells_more() -> None:
    for word in ("Connected", "talking", "Established"):
        assert reading(row=row("100 Ext 100", "101 Ext 101", word)).word == "Talking"
    rung = participant("101", 1, 1, "Ringing", "100")
    assert reading(rung, row=row("100 Ext 100", "101 Ext 101", "Connected")).word == "Connected"
