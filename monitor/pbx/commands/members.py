"""Carry out commands that set the members of a queue or ring group.

XAPI replaces such a list whole, so it is read first. The order given is the order set: a queue or
group that hunts rings its members so. A member that stays keeps its skill group. A member that is
hidden from the caller's key stays, at its place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

from monitor.pbx.command_result import CommandResult, ReadBack
from monitor.pbx.commands.error_mapping import no_extension, no_group, no_queue, refused
from monitor.pbx.parsing.json_fields import integer, objects, text
from monitor.pbx.v20_client import XAPI, PbxClient
from monitor.shared.command_messages import VISIBLE
from monitor.shared.errors import CommandRefused, PbxRefused

_AT_ONCE: Final = 25
"""Numbers that are looked up in one request."""
_KEPT: Final = ("Number", "SkillGroup")


async def queue_agents(client: PbxClient, arguments: Mapping[str, str]) -> CommandResult:
    """Carry out ``queue.agents.set``."""
    await _replace(client, "Queues", "Agents", arguments, "agents", no_queue)
    return CommandResult(ReadBack(queues=frozenset((arguments["num"],))))


async def queue_managers(client: PbxClient, arguments: Mapping[str, str]) -> CommandResult:
    """Carry out ``queue.managers.set``."""
    await _replace(client, "Queues", "Managers", arguments, "managers", no_queue)
    return CommandResult(ReadBack(queues=frozenset((arguments["num"],))))


async def group_members(client: PbxClient, arguments: Mapping[str, str]) -> CommandResult:
    """Carry out ``group.members.set``."""
    await _replace(client, "RingGroups", "Members", arguments, "members", no_group)
    return CommandResult(ReadBack(ring_groups=frozenset((arguments["num"],))))


async def find_queue(client: PbxClient, number: str) -> Mapping[str, Any]:
    """Return the queue with this number, with its agents.

    Raises CommandRefused if there is none.
    """
    return await _owner(client, "Queues", "Agents", number, no_queue)


async def _replace(
    client: PbxClient,
    collection: str,
    name: str,
    arguments: Mapping[str, str],
    given: str,
    missing: Callable[[str], CommandRefused],
) -> None:
    number = arguments["num"]
    owner = await _owner(client, collection, name, number, missing)
    wanted = list(dict.fromkeys(_numbers(arguments[given])))
    before = [row for row in objects(owner.get(name)) if text(row, "Number")]
    known = {text(row, "Number") for row in before}
    await _check(client, [member for member in wanted if member not in known])
    hidden = known - set(_numbers(arguments[VISIBLE])) if VISIBLE in arguments else set()
    held = {text(row, "Number"): {key: row[key] for key in _KEPT if key in row} for row in before}
    members = _ordered(list(held), [member for member in wanted if member not in hidden], hidden)
    rows = [held.get(member, {"Number": member}) for member in members]
    try:
        await client.patch(f"{XAPI}/{collection}({owner['Id']})", {name: rows})
    except PbxRefused as error:
        raise refused(error, missing(number)) from error


def _ordered(before: list[str], wanted: list[str], hidden: set[str]) -> list[str]:
    """Return the wanted members in their order, with the hidden ones where they were."""
    left = iter(wanted)
    at_places = [member if member in hidden else next(left, "") for member in before]
    return [member for member in (*at_places, *left) if member]


def _numbers(joined: str) -> list[str]:
    return [part.strip() for part in joined.split(",") if part.strip()]


async def _owner(
    client: PbxClient,
    collection: str,
    name: str,
    number: str,
    missing: Callable[[str], CommandRefused],
) -> Mapping[str, Any]:
    key = quote(number.replace("'", "''"), safe="")
    try:
        owner = await client.get_json(f"{XAPI}/{collection}(Number='{key}')", {"$expand": name})
    except PbxRefused as error:
        raise refused(error, missing(number)) from error
    if not isinstance(owner, dict) or integer(owner, "Id") is None:
        raise missing(number)
    return owner


async def _check(client: PbxClient, numbers: list[str]) -> None:
    """Raise CommandRefused if some of these numbers are not extensions.

    The error names the first unknown numbers that were found.
    """
    for start in range(0, len(numbers), _AT_ONCE):
        asked = numbers[start : start + _AT_ONCE]
        quoted = (number.replace("'", "''") for number in asked)
        condition = " or ".join(f"Number eq '{number}'" for number in quoted)
        try:
            rows = await client.collection("Users", {"$filter": condition, "$select": "Id,Number"})
        except PbxRefused as error:
            raise refused(error) from error
        found = {text(row, "Number") for row in rows}
        unknown = [number for number in asked if number not in found]
        if unknown:
            raise no_extension(", ".join(unknown))
