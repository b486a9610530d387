from __future__ import annotations

from typing import Any

import pytest

from tests.monitor.simulator.xapi_client import Client, refusal


def named(*names: str) -> dict[str, Any]:
    return {"options": {"ServiceNames": list(names)}}


async def status(client: Client, name: str) -> str:
    rows = await client.get("/Services", filter=f"Name eq '{name}'", select="Status")
    return str(rows.value[0]["Status"])


async def test_services_are_stopped_and_started() -> None:
    client = Client()
    assert {await status(client, "3CXIVR01"), await status(client, "nginx")} == {"Running"}
    body = named("3CXIVR01", "3CXQueueManager01")
    assert (await client.ask("POST", "/Services/Pbx.Stop", body)).status == 204
    assert await status(client, "3CXQueueManager01") == "Stopped"
    assert await status(client, "3CXTunnel01") == "Running"
    assert (await client.ask("POST", "/Services/Pbx.Start", body)).status == 204
    assert await status(client, "3CXQueueManager01") == "Running"
    await client.ask("POST", "/Services/Pbx.Disable", named("3CXIVR01"))
    answer = await client.ask("POST", "/Services/Pbx.Stop", named("3CXIVR01"))
    assert refusal(answer) == (400, "WARNINGS.XAPI.NOT_SUPPORTED", "ServiceNames")


@pytest.mark.parametrize(
    ("body", "word"),
    [(named(), "REQUIRED"), (named("none"), "NOT_FOUND"), (named("nginx"), "NOT_SUPPORTED")],
)
async def test_a_service_that_cannot_be_stopped_is_named(body: dict[str, Any], word: str) -> None:
    answer = await Client().ask("POST", "/Services/Pbx.Stop", body)
    assert refusal(answer) == (400, f"WARNINGS.XAPI.{word}", "ServiceNames")
