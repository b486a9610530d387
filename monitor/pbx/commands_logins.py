"""``ext.queue.set``: a login in to, or out of, one queue."""

from __future__ import annotations

from collections.abc import Mapping

from monitor.errors import CommandRefused
from monitor.pbx.client import PbxClient
from monitor.pbx.commands_done import Done, Touched
from monitor.pbx.commands_extensions import find
from monitor.pbx.commands_lists import find_queue
from monitor.pbx.tolerant import objects, text
from monitor.pbx.webclient import WebClient


async def queue_login(client: PbxClient, web: WebClient, arguments: Mapping[str, str]) -> Done:
    """``ext.queue.set``."""
    number, queue_number = arguments["num"], arguments["queue"]
    user = await find(client, number)
    queue = await find_queue(client, queue_number)
    if not any(text(agent, "Number") == number for agent in objects(queue.get("Agents"))):
        raise CommandRefused("not_an_agent", f"Extension {number} is no agent of queue {queue_number}.")
    await web.set_queue_status(queue["Id"], user["Id"], logged_in=arguments["log"] == "on")
    return Done(Touched(logins=True))
