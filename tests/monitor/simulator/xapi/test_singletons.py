from __future__ import annotations

from monitor.simulator.behaviour_options import Switches
from tests.monitor.simulator.xapi_client import Client


async def test_office_hours_are_changed_and_keep_the_rest() -> None:
    client = Client(switches=Switches(time_zone="iana"))
    assert (await client.ask("PATCH", "/OfficeHours", {"SystemLanguage": "DE"})).status == 204
    hours = (await client.get("/OfficeHours")).body
    assert (hours["SystemLanguage"], hours["TimeZoneId"]) == ("DE", "Europe/Berlin")


async def test_what_cannot_be_changed_says_so() -> None:
    client = Client()
    for name in ("SystemStatus", "Defs", "LicenseStatus"):
        answer = await client.ask("PATCH", f"/{name}", {})
        assert (answer.status, answer.headers["allow"]) == (405, "GET")
    assert (await client.ask("POST", "/CDRSettings", {})).headers["allow"] == "GET, PATCH"
    assert (await client.ask("GET", "/Defs/Nothing")).status == 404
