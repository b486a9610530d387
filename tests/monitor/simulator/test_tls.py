"""A certificate of its own authority."""

from __future__ import annotations

import ssl
from dataclasses import replace

import aiohttp
import pytest

from tests.monitor.simulator.api_client import QUIET, phones, running


async def test_tls_is_trusted_through_its_ca_file_and_only_so() -> None:
    async with running(settings=replace(QUIET, tls=True)) as client:
        assert client.pbx.url.startswith("https://")
        assert (await client.get("/callcontrol")).status == 200
        async with client.socket() as socket:
            caller, callee = phones(client.pbx)[:2]
            await client.makecall(caller, callee)
            await socket.frame()
            context = ssl.create_default_context(cafile=client.pbx.ca_file)
            local = client.pbx.url.replace("127.0.0.1", "localhost") + "/callcontrol"
            async with client.session.get(local, headers=client.headers, ssl=context) as response:
                assert response.status == 200
        async with aiohttp.ClientSession() as stranger:
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await stranger.get(client.pbx.url)
        await client.pbx.restart()
        assert (await client.mint()).status == 200
        ca_file = client.pbx.ca_file
        assert ca_file is not None
        assert ca_file.exists()
    assert not ca_file.exists()
