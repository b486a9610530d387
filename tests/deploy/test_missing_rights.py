"""Test that callmon check names each missing right and its users.acl line, and changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gateway.cli.check import redis_server
from gateway.cli.check.finding import Finding
from gateway.cli.check.redis_permissions import ALONE, NEEDED, Program, lacks
from monitor.shared.redis.topology import RedisClients
from tests.deploy.secured import DEPLOY, SecuredBus, secured_bus

USERS = (DEPLOY / "redis" / "users.acl").read_text(encoding="utf-8")
RULES = [(program, rule) for program, rules in NEEDED.items() for rule in rules]
NONE = "resetpass resetkeys resetchannels -@all"
each = pytest.mark.parametrize(("program", "rule"), RULES, ids=str)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bus(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SecuredBus]:
    async with secured_bus(tmp_path_factory.mktemp("redis")) as made:
        yield made


def given(rule: str) -> str:
    """As it stands in the users' file."""
    return rule if rule in ALONE else f"({rule})"


async def user(bus: SecuredBus, program: Program, *, without: str) -> str:
    """Make one with all rights of the program but this; its name."""
    rights = [part for rule in NEEDED[program] if rule != without for part in given(rule).split()]
    selectors: list[str] = []
    for part in rights:  # each pair of parentheses is one argument
        if selectors and selectors[-1].startswith("(") and not selectors[-1].endswith(")"):
            selectors[-1] += f" {part}"
        else:
            selectors.append(part)
    await bus.ask(
        "looking",
        "ACL",
        "SETUSER",
        "lacking",
        "reset",
        "on",
        ">looking",
        "resetchannels",
        "-@all",
        *selectors,
    )
    return "lacking"


async def found(bus: SecuredBus, program: Program, name: str) -> list[Finding]:
    servers = RedisClients(bus.url_of(name, "looking"))
    try:
        return [finding async for finding in redis_server.look_at(servers, program, ["main"])]
    finally:
        await servers.aclose()


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
