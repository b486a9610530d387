"""The PBX's interface as metrics."""

from __future__ import annotations

import asyncio

from monitor import run as monitor_run
from monitor.pbx.counters import PbxCounters
from monitor.pbx.http_client.transport import certificate_ends
from monitor.pbx.v20_source import PbxSource
from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from tests.bus import until
from tests.observed import observed
from tests.system.stack import running, section


async def test_what_goes_wrong_at_the_pbx_is_counted() -> None:
    async with observed(traffic=False) as site:
        site.pbx.faults.revoke_tokens()
        await site.until(
            "monitor", lambda s: s.value("callmon_pbx_tokens_total", event="revoked") == 1
        )
        site.pbx.faults.drop_sockets()
        found = await site.until(
            "monitor", lambda s: s.value("callmon_pbx_event_sockets_total", event="opened") >= 2
        )
        assert found.value("callmon_pbx_tokens_total", event="minted") >= 2
        assert found.value("callmon_pbx_event_sockets_total", event="ended") >= 1
        assert found.value("callmon_pbx_requests_total", result="refused") >= 1


async def test_the_certificates_end_is_known_where_it_is_checked() -> None:
    assert certificate_ends({"notAfter": "Jan  5 09:34:43 2030 GMT"}) == 1_893_836_083
    assert certificate_ends({}) is certificate_ends(None) is None
    async with SimulatedPbx(
        SimulatorSettings(extensions=5, queues=1, traffic=False, tls=True)
    ) as pbx:
        counters = PbxCounters()
        client = PbxSource(
            monitor_run.pbx_settings(section(pbx).model_copy(update={"ca_file": pbx.ca_file})),
            lambda _: None,
            counters=counters,
        )
        async with running(asyncio.create_task(client.run())):
            await until(lambda: counters.certificate_ends is not None)
