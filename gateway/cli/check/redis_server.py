"""Test Redis for ``callmon check``: whether it answers, and whether its user has the rights."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from gateway.cli.check.finding import Finding
from gateway.cli.check.redis_permissions import ALONE, NEEDED, MissingPermission, Program, lacks
from monitor.shared.redis import connection
from monitor.shared.redis.connection import REDIS_FAILURES
from monitor.shared.redis.failure_text import explain
from monitor.shared.redis.key_names import SpaceKeys
from monitor.shared.redis.topology import RedisClients

_AT_MOST: Final = 3


async def look_at(
    servers: RedisClients, program: Program, pbxs: Sequence[str]
) -> AsyncIterator[Finding]:
    """Yield each finding about Redis, or only one if Redis does not answer."""
    try:
        version = await _version(servers.of(pbxs[0] if pbxs else "check"))
        yield Finding("Redis", f"answers{version}")
        for pbx in pbxs:
            missing = await lacks(servers.of(pbx), program, pbx)
            yield _rights(program, pbx, missing)
            if program == "monitor" and not missing:
                yield await _monitor(servers.of(pbx), pbx)
    except REDIS_FAILURES as error:
        yield Finding("Redis", wrong=explain(error))


async def _version(redis: Redis) -> str:
    await redis.ping()
    try:
        return f", version {(await redis.info('server')).get('redis_version', 'not told')}"
    except NoPermissionError:  # a gateway's user may not ask
        return ""


def _rights(program: Program, pbx: str, missing: Sequence[MissingPermission]) -> Finding:
    what = f"rights on Redis, {program} of {pbx}"
    if not missing:
        return Finding(what, "its user has all the rights that it needs")
    commands = ", ".join(lack.command for lack in missing[:_AT_MOST])
    more = f" and {len(missing) - _AT_MOST} more" if len(missing) > _AT_MOST else ""
    rules = list(dict.fromkeys(lack.rule for lack in missing))
    given = " ".join(f"({rule})" if rule not in ALONE else rule for rule in rules)
    if 2 * len(rules) > len(NEEDED[program]):
        advice = (
            f"Is it the user {program} of deploy/redis/users.acl? new-passwords.sh writes "
            f"its address to {program}.url"
        )
    else:
        advice = f"In deploy/redis/users.acl the user {program} has for that: {given}"
    return Finding(what, wrong=f"its user may not {commands}{more}. {advice}")


async def _monitor(redis: Redis, pbx: str) -> Finding:
    """Return a finding that says which monitor follows the PBX now.

    No monitor may be right too, before the first start.
    """
    what = f"monitor of {pbx}"
    holder = connection.text(await redis.get(SpaceKeys(pbx, "live").lease))
    note = (
        f"{holder} follows it; 3CX keeps one token per client, so this check makes it renew "
        f"its token once"
    )
    return Finding(what, note if holder else "none is running now")
