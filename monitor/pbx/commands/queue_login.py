"""Carry out ``ext.queue.set``: log an extension in to one queue, or out of it.

The PBX acknowledges some changes that it does not make. So the login is read back before it is said
to be changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from monitor.pbx.command_result import CommandResult, ReadBack
from monitor.pbx.commands.extensions import find
from monitor.pbx.commands.members import find_queue
from monitor.pbx.myphone.client import MyPhoneClient
from monitor.pbx.parsing.json_fields import integer, objects, text
from monitor.pbx.v20_client import PbxClient
from monitor.shared.errors import CommandOutcomeUnknown, CommandRefused, PbxError, PbxGarbled

_LOOKS: Final = 4
_LOOK_AGAIN_S: Final = 0.25
"""Seconds before the second look; the PBX may need a moment. Each later pause is longer by this."""


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
    wanted = arguments["log"] == "on"
    await web.set_queue_status(_id(queue), _id(user), logged_in=wanted)
    await _read_back(web, number, queue_number, wanted=wanted)
    return CommandResult(ReadBack())


async def _read_back(web: MyPhoneClient, number: str, queue: str, *, wanted: bool) -> None:
    """Return once the PBX shows the login as wanted; what it shows has been emitted as a fact.

    Raises CommandRefused if the PBX shows that it did nothing, CommandOutcomeUnknown if it does not
    show the login.
    """
    shown: bool | None = None
    why = f"it does not show the logins of extension {number} to queue {queue}"
    for attempt in range(_LOOKS):
        await asyncio.sleep(attempt * _LOOK_AGAIN_S)
        try:
            shown = (await web.queues_info()).get(queue, {}).get(number)
        except (PbxError, CommandRefused) as error:
            shown, why = None, str(error).rstrip(".")
        if shown is wanted:
            return
    if shown is None:
        raise CommandOutcomeUnknown(
            f"The PBX said that it changed the login, but this could not be read back: {why}."
        )
    raise CommandRefused(
        "pbx_refused",
        f"The PBX said that it changed the login, but extension {number} is still logged "
        f"{'in to' if shown else 'out of'} queue {queue}.",
    )


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
