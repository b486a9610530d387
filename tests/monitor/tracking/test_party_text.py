"""Test how ActiveCalls' texts are read back."""

from __future__ import annotations

import pytest

from monitor.pbx.facts import (
    DirectoryRead,
    IvrRow,
    Participant,
    PeerRow,
    QueueRow,
    SystemRow,
    TrunkRow,
    UserRow,
)
from monitor.tracking.directory_index import DirectoryIndex
from monitor.tracking.party_text import PartyText, parse, parse_several, plain_participant

DIRECTORY = DirectoryIndex(
    DirectoryRead(
        users=(
            UserRow(1, "100", "112", "113"),
            UserRow(2, "101", "Reception (2)"),
            UserRow(3, "102", "John", "Smith"),
        ),
        queues=(QueueRow(4, "800", "Support (2)"), QueueRow(5, "QCB", "Call back")),
        ring_groups=(),
        ivrs=(IvrRow(6, "HOL", "Holiday"),),
        trunks=(
            TrunkRow(7, "10000", "skyetel"),
            TrunkRow(8, "10001", "SIP Trunk (1)"),
            TrunkRow(9, "10002", ""),
        ),
        departments=(),
        inbound_rules=(),
        system=SystemRow(),
        at=0.0,
        peers=(PeerRow("SP11", "Shared Parking", "Parking"), PeerRow("crm", "CRM", "RoutePoint")),
    )
)


def outside(dn: str, number: str, name: str) -> PartyText:
    return PartyText(dn, number, name)


def withheld(dn: str, name: str) -> PartyText:
    return PartyText(dn, "", name, withheld=True)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("10000 skyetel (+15153182968)", outside("10000", "+15153182968", "skyetel")),
        ("10000 skyetel (+49 30 1234567)", outside("10000", "+49301234567", "skyetel")),
        ("10000 skyetel ((030) 1234567)", outside("10000", "0301234567", "skyetel")),
        ("10000 skyetel (030/1234567)", outside("10000", "0301234567", "skyetel")),
        ("10000 skyetel (+493012;ext=5)", outside("10000", "+493012", "skyetel")),
        ("10000 skyetel (sip:+4930123@sip.example)", outside("10000", "+4930123", "skyetel")),
        ("10000 skyetel (112)", outside("10000", "112", "skyetel")),
        ("10002 renamed (+4930123)", outside("10002", "+4930123", "renamed")),
        ("10000 skyetel (anonymous)", withheld("10000", "skyetel")),
        ("10000 skyetel (Restricted)", withheld("10000", "skyetel")),
        ("10000 skyetel (unavailable)", withheld("10000", "skyetel")),
        ("10000 skyetel ()", withheld("10000", "skyetel")),
        ("10000", outside("10000", "", "")),
        ("10000 Telekom (backup)", outside("10000", "", "Telekom (backup)")),
        ("10000 renamed (2)", outside("10000", "", "renamed (2)")),
        ("10000 renamed (101)", outside("10000", "", "renamed (101)")),
        ("10001 SIP Trunk (1)", outside("10001", "", "SIP Trunk (1)")),
        ("10001 SIP Trunk (1) (+4930123)", outside("10001", "+4930123", "SIP Trunk (1)")),
        ("102 Smith, John", PartyText("102", "102", "Smith, John")),
        ("800 Support (2)", PartyText("800", "800", "Support (2)")),
        ("101 Reception (2)", PartyText("101", "101", "Reception (2)")),
        ("101 Sales (102)", PartyText("101", "101", "Sales (102)")),
        ("SP11 Shared Parking", PartyText("SP11", "SP11", "Shared Parking")),
        ("SP11", PartyText("SP11", "SP11", "")),
        ("HOL Holiday", PartyText("HOL", "HOL", "Holiday")),
        ("crm", PartyText("crm", "crm", "")),
        ("101 HOL Smith", PartyText("101", "101", "HOL Smith")),
        ("112 113 (100)", PartyText("100", "100", "112 113")),
        ("(100)", PartyText("100", "100", "")),
        ("Nick Sample (001231234)", PartyText("", "001231234", "Nick Sample")),
        ("Nick Sample (anonymous)", withheld("", "Nick Sample")),
        ("+4912341234", PartyText("", "+4912341234", "")),
        ("+49 30 1234567", PartyText("", "+49301234567", "")),
        ("anonymous", withheld("", "anonymous")),
        ("SP12 Not in the directory", PartyText("", "", "SP12 Not in the directory")),
        ("MakeCall", PartyText("", "", "MakeCall")),
        ("10000 skyetel Berlin (+4930123)", outside("10000", "+4930123", "skyetel Berlin")),
        ("10000 skyetel SIP-Trunk", outside("10000", "", "skyetel SIP-Trunk")),
        ("10000 skyetel +4930123", outside("10000", "+4930123", "skyetel")),
        ("10000 skyetel (+4930123) Ann", outside("10000", "", "skyetel (+4930123) Ann")),
        ("10000(+4930123)", outside("10000", "+4930123", "")),
        ("10000\u00a0skyetel\t(+4930123)", outside("10000", "+4930123", "skyetel")),
        ("10000 skyetel (+anonymous)", withheld("10000", "skyetel")),
        ("10000 skyetel (sip:@sip.example)", withheld("10000", "skyetel")),
        ("101\u00a0Reception (2)", PartyText("101", "101", "Reception (2)")),
        ("\u2068101\u2069 Reception (2)", PartyText("101", "101", "Reception (2)")),
        ("sip:102@pbx.example", PartyText("102", "102", "")),
        ('"John" <sip:102@pbx.example>', PartyText("102", "102", "John")),
        ("John (sip:102@pbx.example)", PartyText("102", "102", "John")),
        ("Ann <sip:+4930123@sip.example>", PartyText("", "+4930123", "Ann")),
        ("sip:10000@pbx.example", outside("10000", "", "")),
        ("skyetel (10000)", outside("10000", "", "skyetel")),
        ("+4930123 (10000)", outside("10000", "+4930123", "")),
        ("+49 30 1234567 Ann", PartyText("", "+49301234567", "Ann")),
        ("+49 30 1234567 24h Ltd", PartyText("", "+49301234567", "24h Ltd")),
        ("(10000)", outside("10000", "", "")),
        ("anonymous (10000)", withheld("10000", "")),
        ("(Ann)", PartyText("", "", "(Ann)")),
        ("Anonymous (Ann)", PartyText("", "", "Anonymous (Ann)")),
        ("+49301234567 (Ann)", PartyText("", "+49301234567", "Ann")),
        ("", PartyText("", "", "")),
        ("((((", PartyText("", "", "((((")),
    ],
)
def test_a_text_names_dn_number_and_name(text: str, read: PartyText) -> None:
    assert parse(text, DIRECTORY) == read


def test_a_text_may_name_several_parties_and_a_name_may_have_a_comma() -> None:
    named = parse_several("102 Smith, John, QCB Call back, 101 Reception (2)", DIRECTORY)
    assert [party.dn for party in named] == ["102", "QCB", "101"]
    assert named[0].name == "Smith, John"


def test_a_comma_before_a_number_may_be_in_the_name_that_the_directory_has() -> None:
    directory = DirectoryIndex(
        DirectoryRead(
            users=(UserRow(1, "101", "Ann"), UserRow(2, "102", "Bob")),
            queues=(QueueRow(4, "800", "Floor 1, 101, 102"),),
            ring_groups=(), ivrs=(), trunks=(), departments=(), inbound_rules=(),
            system=SystemRow(), at=0.0,
        )
    )  # fmt: skip
    assert parse_several("800 Floor 1, 101, 102", directory) == (
        PartyText("800", "800", "Floor 1, 101, 102"),
    )
    named = parse_several("800 Floor 1, 101, 102, 101 Ann,102 Bob", directory)
    assert [party.dn for party in named] == ["800", "101", "102"]


def test_a_text_of_a_megabyte_is_cut() -> None:
    assert len(parse("(" * 1_000_000, DIRECTORY).name) <= 1_000
    assert parse_several("x," * 500_000, DIRECTORY)


@pytest.mark.parametrize(
    ("told", "number", "hidden"),
    [
        ("+49301234567", "+49301234567", False),
        ("+49 (0)30 1234567", "+49301234567", False),
        ("anonymous", "", True),
        ("", "", True),
    ],
)
def test_a_participants_outside_number_is_plain_or_withheld(
    told: str, number: str, hidden: bool
) -> None:
    held = Participant(
        1, "101", "Ringing", 7, 1, party_dn="10000", party_caller_id=told,
        party_dn_type="Wexternalline",
    )  # fmt: skip
    plain = plain_participant(held)
    assert (plain.party_caller_id, plain.withheld) == (number, hidden)


def test_a_participant_inside_is_left_alone() -> None:
    held = Participant(1, "101", "Ringing", 7, 1, party_dn="102", party_dn_type="Wextension")
    assert plain_participant(held) is held
