"""Carry out ``ext.queue.set``: log an extension in to one queue, or out of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monitor.pbx.command_result import CommandResult, ReadBack
from monitor.pbx.commands.extensions import find
from monitor.pbx.commands.members import find_queue
from monitor.pbx.myphone.client import MyPhoneClient
from monitor.pbx.parsing.json_fields import integer, objects, text
from monitor.pbx.v20_client import PbxClient
from monitor.shared.errors import CommandRefused, PbxGarbled


async def queue_login(
    client: PbxClient, web: MyPhoneClient, arguments: Mapping[str, str]
) -> CommandResult:
    """Carry out ``ext.queue.set``."""
    number, queue_number = arguments["num"], arguments["queue"]
    user = await find(client, number)
    queue = await find_queue(client, queue_number)
    if not any(text(agent, "Number") == number for agent in objects(queue.get("Agents"))):
        raise CommandRefused(
            "not_an_agent", f"Extension {number} is not an agent of queue {queue_number}."
        )
    await web.set_queue_status(_id(queue), _id(user), logged_in=arguments["log"] == "on")
    return CommandResult(ReadBack(logins=True))


def _id(row: Mapping[str, Any]) -> int:
    """Return the row's Id.

    Raises PbxGarbled if the web client's messages, which have 32 bits for it, cannot hold it.
    """
    id_ = integer(row, "Id")
    if id_ is None or not 0 <= id_ < 2**31:
        raise PbxGarbled(
            f"{text(row, 'Number')} has no Id that the web client's interface accepts."
        )
    return id_
