from __future__ import annotations

from tests.monitor.simulator.exchange_bench import Bench
from tests.monitor.simulator.xapi_client import Client


async def test_telephones_that_go_and_come_are_events() -> None:
    pbx = Bench()
    client = Client(bench=pbx)
    devices = pbx.directory.devices("100")
    pbx.directory.set_devices("100", [])
    pbx.directory.set_devices("100", devices)
    client.site.restarted()
    rows = (await client.get("/EventLogs")).value
    assert [(row["Type"], row["Params"]) for row in rows] == [
        ("Info", []),
        ("Info", ["100"]),
        ("Warning", ["100"]),
        ("Info", []),
    ]
    assert "unregistered" in rows[2]["Message"]
    warnings = await client.get("/EventLogs", filter="Type eq 'Warning'", count="true")
    assert warnings.body["@odata.count"] == 1
    client.site.events.forget()
    assert (await client.get("/EventLogs")).value == []
