"""What of a PBX's answers and events is kept, masked or left out."""

from __future__ import annotations

import pytest

from monitor.recording import masking_rules
from monitor.recording.masking import Mask
from tests.monitor.recording.test_masking import DNS


def test_secrets_go_dns_and_words_of_3cx_stay_and_all_else_is_masked() -> None:
    told = {
        "Number": "101",
        "FirstName": "Anna",
        "AuthPassword": "hunter22",
        "SIPID": "anna.line",
        "VMPIN": 1234,
        "Mobile": "+4915112345678",
        "QueueStatus": "LoggedIn",
        "CurrentProfileName": "Out of office",
        "SomethingNew": "Anna said so",
        "Enabled": True,
        "BirthNumber": 4915112345678,
        "Id": 4915112345678,
        "Nothing": None,
    }
    kept = masking_rules.body(Mask(b"x" * 16, DNS), told)
    assert (kept["Number"], kept["QueueStatus"], kept["CurrentProfileName"]) == (
        "101",
        "LoggedIn",
        "Out of office",
    )
    assert (kept["AuthPassword"], kept["SIPID"], kept["Enabled"], kept["Nothing"]) == (
        "",
        "",
        True,
        None,
    )
    assert kept["VMPIN"] == 0
    assert kept["Id"] == told["Id"]
    for name in ("FirstName", "Mobile", "SomethingNew", "BirthNumber"):
        assert kept[name] != told[name]
    assert "Anna" not in str(kept)
    assert kept["SomethingNew"].startswith(kept["FirstName"])


def test_what_comes_with_an_event_is_masked_like_an_answer() -> None:
    mask = Mask(b"x" * 16, DNS)
    participant = {
        "id": 7,
        "dn": "101",
        "party_caller_name": "Anna Smith",
        "party_caller_id": "+4915112345678",
    }
    event = {
        "sequence": 4,
        "event": {
            "event_type": 0,
            "entity": "/callcontrol/101/participants/7",
            "attached_data": participant,
        },
    }
    kept = masking_rules.body(mask, event)
    assert kept["event"]["entity"] == "/callcontrol/101/participants/7"
    assert kept["event"]["attached_data"] == masking_rules.body(mask, participant)
    assert kept["event"]["attached_data"]["party_caller_id"] == mask.number("+4915112345678")


def test_an_address_keeps_its_form_and_loses_the_numbers_in_it() -> None:
    mask = Mask(b"x" * 16, DNS)
    assert masking_rules.address(mask, "/xapi/v1/Users?$filter=Number%20eq%20%27101%27") == (
        "/xapi/v1/Users?$filter=Number%20eq%20%27101%27"
    )
    masked = masking_rules.address(
        mask, "/xapi/v1/Contacts?$filter=Mobile2%20eq%20%274915112345678%27"
    )
    assert (
        masked == f"/xapi/v1/Contacts?$filter=Mobile2%20eq%20%27{mask.number('4915112345678')}%27"
    )
    zones = "/xapi/v1/Defs/TimeZones?$filter=Id%20eq%20%2742%27"
    assert masking_rules.address(mask, zones) == zones


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        (
            {"token_type": "Bearer", "expires_in": 60, "access_token": "x"},
            {"token_type": "Bearer", "expires_in": 60},
        ),
        ({"error": "invalid_client", "error_description": "Anna"}, {"error": "invalid_client"}),
        ({"token_type": ["x"], "expires_in": None}, {}),
        ("access", {}),
        (None, {}),
    ],
)
def test_of_a_token_only_the_outcome_is_kept(told: object, kept: dict[str, object]) -> None:
    assert masking_rules.granted(told) == kept


def test_a_dn_that_was_not_known_is_learnt_and_a_number_in_its_place_is_masked() -> None:
    mask = Mask(b"x" * 16, ())
    told = {"Number": "345", "party_dn": "+4915112345678", "dn": "12 34"}
    kept = masking_rules.body(mask, told)
    assert kept["Number"] == "345"
    assert mask.is_dn("345")
    assert kept["party_dn"] != told["party_dn"]
    assert kept["dn"] != told["dn"]


def test_a_sip_contact_keeps_its_dn_and_loses_its_host() -> None:
    told = {"device_id": "sip:101@192.168.7.8:5060;rinstance=annaphone"}
    kept = masking_rules.body(Mask(b"x" * 16, DNS), told)["device_id"]
    assert kept.startswith("sip:101@")
    assert kept.count(";rinstance=") == 1
    for said in ("192", "168", "anna"):
        assert said not in kept


def test_annotations_go_and_the_count_stays() -> None:
    told = {"@odata.context": "https://pbx.anna.example/x", "@odata.count": 1, "value": []}
    assert masking_rules.body(Mask(b"x" * 16, DNS), told) == {"@odata.count": 1, "value": []}
