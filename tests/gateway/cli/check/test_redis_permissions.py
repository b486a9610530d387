"""Test that callmon check names each missing right and its users.acl line, and changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gateway.cli.check.redis_permissions import NEEDED, Program, lacks
from tests.deploy.secured import DEPLOY, SecuredBus, secured_bus
from tests.gateway.cli.check.rights import NONE, given, user

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
