"""What ``callmon check`` says of Redis: whether it answers, what a user lacks, who leads."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gateway.cli.check import redis_server
from gateway.cli.check.finding import Finding
from gateway.cli.check.redis_permissions import NEEDED, Program
from monitor.shared.redis.topology import RedisClients
from tests.deploy.secured import SecuredBus, secured_bus
from tests.gateway.cli.check.rights import user


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bus(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SecuredBus]:
    async with secured_bus(tmp_path_factory.mktemp("redis")) as made:
        yield made


async def found(bus: SecuredBus, program: Program, name: str) -> list[Finding]:
    servers = RedisClients(bus.url_of(name, "looking"))
    try:
        return [finding async for finding in redis_server.look_at(servers, program, ["main"])]
    finally:
        await servers.aclose()


@pytest.mark.asyncio(loop_scope="module")
async def test_an_administrator_reads_what_is_missing_and_where_it_stands(bus: SecuredBus) -> None:
    rule = next(rule for rule in NEEDED["monitor"] if "result" in rule)
    finding = (await found(bus, "monitor", await user(bus, "monitor", without=rule)))[-1]
    assert finding.what == "rights on Redis, monitor of main"
    assert finding.wrong == (
        "its user may not SET callmon:{main}:result:check. "
        "In deploy/redis/users.acl the user monitor has for that: (+set %W~callmon:{*}:result:*)"
    )


@pytest.mark.asyncio(loop_scope="module")
async def test_the_other_programs_user_is_found_out(bus: SecuredBus) -> None:
    finding = (await found(bus, "monitor", await user(bus, "gateway", without="")))[-1]
    assert "Is it the user monitor of deploy/redis/users.acl?" in finding.wrong


@pytest.mark.asyncio(loop_scope="module")
async def test_who_may_do_all_is_told_so_and_whether_a_monitor_runs(bus: SecuredBus) -> None:
    findings = await found(bus, "monitor", await user(bus, "monitor", without=""))
    assert [finding.wrong for finding in findings] == ["", "", ""]
    assert findings[-1].detail == "none is running now"


@pytest.mark.asyncio(loop_scope="module")
async def test_a_wrong_password_is_one_thing_wrong(bus: SecuredBus) -> None:
    (finding,) = await found(bus, "monitor", "monitor")
    assert finding.what == "Redis"
    assert "it does not accept the user and the password in url" in finding.wrong
