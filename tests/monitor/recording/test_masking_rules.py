"""What of a PBX's answers and events is kept, masked or left out."""

from __future__ import annotations

from monitor.recording import masking_rules
from monitor.recording.masking import Mask


def test_secrets_go_dns_and_words_of_3cx_stay_and_all_else_is_masked() -> None:
    told = {
        "Number": "101",
        "FirstName": "Anna",
        "AuthPassword": "hunter22",
        "SIPID": "anna.line",
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


DNS = {"101", "102", "800", "10000", "777"}
