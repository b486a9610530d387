"""Test which of their rights on Redis the monitor's and the gateway's users lack.

Nothing is changed by it. Commands are queued in a transaction that is discarded: a server checks
the rights when it queues. WATCH, SUBSCRIBE and SSUBSCRIBE cannot be queued; they are undone at
once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from monitor.shared.redis.subscriptions import SubscribingPool

Program: TypeAlias = Literal["monitor", "gateway"]
Trial: TypeAlias = tuple[str, ...]

BOTH: Final = "+ping +multi +exec +discard +unwatch +cluster|slots"
INFO: Final = "+info"
PROCESSES: Final = (
    "+get +pttl +exists %R~callmon:{*}:process:*",
    "+del +sadd +srem +smembers +expire %RW~callmon:{*}:processes",
)
MONITOR: Final = (
    INFO,
    "+watch +get +set +del %RW~callmon:{*}:lease %RW~callmon:{*}:figures %RW~callmon:{*}:directory",
    (
        "+watch +hmget +hgetall +hkeys +hset +hdel +hlen +xadd +unlink +rename +persist +expire"
        " %R~callmon:{*}:lease %RW~callmon:{*}:live:* %RW~callmon:{*}:book:*"
    ),
    "+get %R~callmon:{*}:live:seen %R~callmon:{*}:book:seen",
    "+watch +get +set +pttl %RW~callmon:{*}:request:* %R~callmon:{*}:lease",
    "+set %W~callmon:{*}:result:*",
    "+del %W~callmon:{*}:once:*",
    (
        "+get +set +xrange +xadd +xtrim +hgetall +hset +hdel +unlink"
        " %RW~callmon:{*}:records %RW~callmon:{*}:records:generation "
        "%RW~callmon:{*}:records:mirrored"
    ),
    (
        "+watch +hget +hgetall +hset +unlink +exists +set"
        " %RW~callmon:{*}:keys %RW~callmon:{*}:keys:kept %RW~callmon:{*}:keys:ready"
    ),
    (
        "+publish +spublish"
        " &callmon:{*}:live &callmon:{*}:book &callmon:{*}:replies:* &callmon:{*}:keys:changed"
    ),
    (
        "+subscribe +unsubscribe +ssubscribe +sunsubscribe"
        " &callmon:{*}:requests &callmon:{*}:keys:changed"
    ),
    "+get +set +del %RW~callmon:{*}:monitor:*",
    "+del +sadd +srem +smembers +expire %RW~callmon:{*}:monitors",
    "+set +del %W~callmon:{*}:process:monitor/*",
    *PROCESSES,
)
"""Rules as in deploy/redis/users.acl: first those without a key, then each pair of parentheses."""
GATEWAY: Final = (
    "+hmget +hgetall +hlen +xrange +xrevrange %R~callmon:{*}:live:* %R~callmon:{*}:book:*",
    "+watch %R~callmon:{*}:live:position %R~callmon:{*}:book:position",
    "+get +set %RW~callmon:{*}:live:seen %RW~callmon:{*}:book:seen",
    "+watch +get +set %RW~callmon:{*}:request:* %RW~callmon:{*}:once:*",
    "+get +exists %R~callmon:{*}:request:* %R~callmon:{*}:result:*",
    "+del %W~callmon:{*}:once:*",
    "+exists +hgetall %R~callmon:{*}:keys %R~callmon:{*}:keys:ready",
    "+set +getdel %RW~callmon:{*}:ticket:*",
    "+set +incrby +pttl +pexpire +unlink %RW~callmon:{*}:spent:*",
    "+publish +spublish &callmon:{*}:requests &callmon:{*}:reached &callmon:{*}:replies:*",
    (
        "+subscribe +unsubscribe +ssubscribe +sunsubscribe"
        " &callmon:{*}:live &callmon:{*}:book &callmon:{*}:replies:* &callmon:{*}:reached "
        "&callmon:{*}:keys:changed"
    ),
    "+set +del %W~callmon:{*}:process:gateway/*",
    *PROCESSES,
)
NEEDED: Final[dict[Program, tuple[str, ...]]] = {
    "monitor": (BOTH, *MONITOR),
    "gateway": (BOTH, *GATEWAY),
}
ALONE: Final = frozenset((BOTH, INFO))
"""Rules that stand in no parentheses."""

_READS: Final = frozenset(
    (
        "WATCH",
        "GET",
        "HGET",
        "HMGET",
        "HGETALL",
        "HKEYS",
        "HLEN",
        "EXISTS",
        "PTTL",
        "SMEMBERS",
        "XRANGE",
        "XREVRANGE",
    )
)
_REST: Final = {
    "SET": ("1",),
    "HGET": ("1",),
    "HMGET": ("1",),
    "HSET": ("1", "1"),
    "HDEL": ("1",),
    "SADD": ("1",),
    "SREM": ("1",),
    "XADD": ("*", "1", "1"),
    "XTRIM": ("MAXLEN", "1"),
    "EXPIRE": ("1",),
    "PEXPIRE": ("1",),
    "INCRBY": ("0",),
    "XRANGE": ("-", "+"),
    "XREVRANGE": ("+", "-"),
    "PUBLISH": ("1",),
    "SPUBLISH": ("1",),
}
"""Arguments that a command needs after its key or channel, so that the server accepts its
syntax."""
_OF_THE_CONNECTION: Final = frozenset(
    ("MULTI", "EXEC", "DISCARD", "UNWATCH", "UNSUBSCRIBE", "SUNSUBSCRIBE")
)
"""Commands that the test itself uses; they cannot be tried separately."""
_NOT_QUEUED: Final = {
    "WATCH": "UNWATCH",
    "SUBSCRIBE": "UNSUBSCRIBE",
    "SSUBSCRIBE": "SUNSUBSCRIBE",
}
"""Commands that cannot be queued → the command that undoes each."""
_OF_A_CLUSTER: Final = frozenset(("SPUBLISH", "SSUBSCRIBE", "CLUSTER|SLOTS"))
"""Commands that are needed on a Cluster only."""


@dataclass(frozen=True, slots=True)
class MissingPermission:
    """Hold a missing right and the rule of users.acl that would give it."""

    command: str
    rule: str


async def lacks(redis: Redis, program: Program, pbx: str) -> list[MissingPermission]:
    """Return the rights for this PBX that the program needs and its user lacks.

    Raises RedisError or OSError.
    """
    needed = [(command, rule) for rule in NEEDED[program] for command in _commands(rule, pbx)]
    needed += [((name,), BOTH) for name in ("MULTI", "EXEC")]
    pool: Any = redis.connection_pool
    if not isinstance(pool, SubscribingPool):
        needed = [(command, rule) for command, rule in needed if not _of_a_cluster(command)]
    connection = await pool.get_connection()
    try:
        refused = await _refused(connection, [command for command, _ in needed])
    finally:
        await connection.disconnect()  # this also discards what was queued
        await pool.release(connection)
    return [
        MissingPermission(" ".join(command[:2]), rule)
        for command, rule in needed
        if command in refused
    ]


def _commands(rule: str, pbx: str) -> Iterator[Trial]:
    """Yield all that the rule allows: each command with each of its keys or channels."""
    names = [name.upper() for name in re.findall(r"\+([\w|]+)", rule)]
    places = re.findall(r"(%R~|%W~|%RW~|&)(\S+)", rule)
    for name in names:
        if name in _OF_THE_CONNECTION:
            continue
        if not places:
            yield tuple(name.split("|"))
        for mode, pattern in places:
            if mode == "%R~" and name not in _READS:
                continue
            place = pattern.replace("{*}", f"{{{pbx}}}").replace("*", "check")
            yield (
                (name, place, place + ":check")
                if name == "RENAME"
                else (name, place, *_REST.get(name, ()))
            )


def _of_a_cluster(command: Trial) -> bool:
    return command[0] in _OF_A_CLUSTER or "|".join(command) in _OF_A_CLUSTER


async def _refused(connection: Any, commands: Sequence[Trial]) -> set[Trial]:
    """Return the commands that the server does not allow."""
    unqueued = [command for command in commands if command[0] in _NOT_QUEUED]
    found = set()
    for command in unqueued:
        if not all(
            [await _passes(connection, step) for step in (command, (_NOT_QUEUED[command[0]],))]
        ):
            found.add(command)
    for command in (("MULTI",), ("EXEC",), ("MULTI",)):
        if not await _passes(connection, command):  # the next commands would really be executed
            return {command}
    for command in commands:
        if command[0] not in (*_NOT_QUEUED, "MULTI", "EXEC") and not await _passes(
            connection, command
        ):
            found.add(command)
    return found


async def _passes(connection: Any, command: Trial) -> bool:
    await connection.send_command(*command)
    try:
        await connection.read_response()
    except NoPermissionError:
        return False
    return True
