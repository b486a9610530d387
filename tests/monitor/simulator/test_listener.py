"""Listening, and no longer listening."""

from __future__ import annotations

from dataclasses import replace

import aiohttp
import pytest

from monitor.shared.errors import StartFailed
from monitor.simulator.server import SimulatedPbx
from tests.monitor.simulator.api_client import (
    QUIET,
    running,
)


async def test_two_run_side_by_side_and_a_port_in_use_is_an_error() -> None:
    async with running() as one, running() as two:
        assert one.pbx.url != two.pbx.url
        assert one.pbx.client_secret != two.pbx.client_secret
        port = int(one.pbx.url.rpartition(":")[2])
        with pytest.raises(StartFailed, match="another program listens there already"):
            async with SimulatedPbx(replace(QUIET, port=port)):
                pass
        assert (await one.get("/callcontrol")).status == 200


async def test_it_stops_listening_and_listens_again_at_the_same_port() -> None:
    async with running() as client:
        url = client.pbx.url
        async with client.socket() as socket:
            await client.pbx.faults.refuse()
            assert await socket.ended() in (None, 1006)
        with pytest.raises(aiohttp.ClientConnectorError):
            await client.get("/callcontrol")
        await client.pbx.faults.accept()
        assert client.pbx.url == url
        assert (await client.get("/callcontrol")).status == 200, (
            "a network that was away leaves tokens alone"
        )
