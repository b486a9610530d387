"""Test that callmon check names each missing right and its users.acl line, and changes nothing."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gateway.cli.check.redis_permissions import NEEDED, Program, lacks
from monitor.shared.redis.connection import publish
from monitor.shared.redis.key_names import AccessKeys, RequestKeys
from monitor.shared.redis.subscriptions import ChannelMessage, subscribed
from monitor.shared.redis.topology import RedisClients
from tests.deploy.secured import DEPLOY, SecuredBus, secured_bus
from tests.gateway.cli.check.rights import NONE, given, user
from tests.redis_groups import clustered_group

USERS = (DEPLOY / "redis" / "users.acl").read_text(encoding="utf-8")
RULES = [(program, rule) for program, rules in NEEDED.items() for rule in rules]
each = pytest.mark.parametrize(("program", "rule"), RULES, ids=str)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bus(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SecuredBus]:
    async with secured_bus(tmp_path_factory.mktemp("redis")) as made:
        yield made


@pytest.mark.parametrize("program", NEEDED)
def test_what_is_tried_is_what_the_users_file_gives(program: Program) -> None:
    (line,) = [line for line in USERS.splitlines() if line.startswith(f"user {program} ")]
    assert line == f"user {program} on {NONE} {' '.join(map(given, NEEDED[program]))}"


@pytest.mark.asyncio(loop_scope="module")
@each
async def test_a_rule_that_is_missing_is_named_and_no_other(
    bus: SecuredBus, program: Program, rule: str
) -> None:
    missing = await lacks(bus.of(await user(bus, program, without=rule)), program, "main")
    assert {lack.rule for lack in missing} == {rule}
    assert await bus.ask("looking", "DBSIZE") == 0


@pytest.mark.parametrize("program", NEEDED)
async def test_on_a_cluster_the_sharded_messages_and_the_places_of_keys_are_needed_too(
    program: Program,
) -> None:
    rules = " ".join(map(given, NEEDED[program]))
    async with clustered_group() as group:
        for name, text in (("whole", rules), ("old", rules.replace("+spublish ", ""))):
            for server in group.servers:
                await server.ask(
                    *("ACL", "SETUSER", name, "on", ">secret", "resetchannels", "-@all"),
                    *_arguments(text),
                )
        clients = [
            RedisClients(group.url.replace("://", f"://{name}:secret@"))
            for name in ("whole", "old")
        ]
        whole, old = [await lacks(one.of("main"), program, "main") for one in clients]
        assert whole == []
        assert {lack.command.split()[0] for lack in old} == {"SPUBLISH"}
        channel = {
            "monitor": AccessKeys("main").channel,
            "gateway": RequestKeys("main").reached,
        }[program]
        redis = clients[0].of("main")
        async with subscribed(redis, channel) as hearing:
            await publish(redis, channel, b"x")
            assert await hearing.get(60.0) == ChannelMessage(channel, b"x")
        for one in clients:
            await one.aclose()


def _arguments(rules: str) -> list[str]:
    """Each pair of parentheses is one."""
    return re.findall(r"\([^)]*\)|\S+", rules)
