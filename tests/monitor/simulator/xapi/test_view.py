"""Entities as they are shown."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.simulator.behaviour_options import Switches
from monitor.simulator.pbx_data.generator import make_directory
from tests.monitor.simulator.xapi_client import Client


@pytest.mark.parametrize(("secrets", "shown"), [("concealed", False), ("shown", True)])
async def test_secrets_are_shown_only_if_switched_so(secrets: Any, shown: bool) -> None:
    client = Client(switches=Switches(secrets=secrets))
    user = (await client.get("/Users", top=1)).value[0]
    for name in ("AuthPassword", "AccessPassword", "DeskphonePassword", "VMPIN"):
        assert (user[name] is not None) is shown
    trunk = (await client.get("/Trunks", top=1)).value[0]
    assert trunk["AuthPassword"] == {
        "Concealed": not shown,
        "Value": "trunk-10000" if shown else None,
    }


@pytest.mark.parametrize(("match", "ids"), [("exact", [2]), ("tail", [1, 2])])
async def test_contacts_are_found_by_number_as_switched(match: Any, ids: list[int]) -> None:
    directory = make_directory(7, 5, 1, contacts=0)
    client = Client(directory, Switches(contacts_match=match))
    for number in ("+7 495 123-45-67", "1234567", "7654321"):
        await client.ask("POST", "/Contacts", {"FirstName": "A", "PhoneNumber": number})
    answer = await client.get("/Contacts/Pbx.GetContactsByNumber(number='1234567')", select="Id")
    assert answer.column("Id") == ids
    assert (await client.ask("GET", "/Contacts/Pbx.GetContactsByNumber(number=1)")).status == 400
