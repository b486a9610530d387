"""Test that ActiveCalls' texts are read correctly."""

from __future__ import annotations

import pytest

from monitor.shared.entities.topics import DnType
from monitor.tracking.party_text import PartyText, parse


def kind(number: str) -> DnType:
    known: dict[str, DnType] = {"10000": "externalline", "100": "extension", "800": "queue"}
    return known.get(number, "unknown")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("10000 skyetel (+15153182968)", PartyText("10000", "+15153182968", "skyetel")),
        ("10000 skyetel (anonymous)", PartyText("10000", "anonymous", "skyetel")),
        ("10000 skyetel (Anonymous)", PartyText("10000", "Anonymous", "skyetel")),
        ("10000 Telekom (backup)", PartyText("10000", "", "Telekom (backup)")),
        ("100 Smith, John", PartyText("100", "100", "Smith, John")),
        ("800 Sales", PartyText("800", "800", "Sales")),
        ("Nick Sample (001231234)", PartyText("", "001231234", "Nick Sample")),
        ("", PartyText("", "", "")),
    ],
)
def test_a_text_names_dn_number_and_name(text: str, read: PartyText) -> None:
    assert parse(text, kind) == read
