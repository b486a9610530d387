"""List the documented commands that change something, and carry them out at a 3CX v20."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

from monitor.pbx.command_result import CommandResult
from monitor.pbx.commands import contacts, extensions, makecall, members
from monitor.pbx.commands import queue_login as logins
from monitor.pbx.commands.error_mapping import refused
from monitor.pbx.myphone.client import MyPhoneClient
from monitor.pbx.v20_client import PbxClient
from monitor.shared.errors import CommandRefused, PbxRefused

_Run: TypeAlias = Callable[[PbxClient, Mapping[str, str]], Awaitable[CommandResult]]

_COMMANDS: Final[dict[str, _Run]] = {
    "makecall": makecall.make,
    "ext.fwd.set": extensions.forwarding,
    "ext.queueglobal.set": extensions.queue_login,
    "ext.options.set": extensions.options,
    "ext.update": extensions.update,
    "ext.new": extensions.new,
    "ext.del": extensions.delete,
    "group.members.set": members.group_members,
    "queue.agents.set": members.queue_agents,
    "queue.managers.set": members.queue_managers,
    "contact.update": contacts.update,
    "contact.new": contacts.new,
    "contact.del": contacts.delete,
}


async def run(
    client: PbxClient, web: MyPhoneClient, command: str, arguments: Mapping[str, str]
) -> CommandResult:
    """Carry out a command; the caller has checked ``arguments``.

    Raises CommandRefused (nothing was changed), CommandOutcomeUnknown, PbxUnreachable, TokenRefused
    (not carried out).
    """
    carry_out = _COMMANDS.get(command)
    try:
        if command == "ext.queue.set":
            return await logins.queue_login(client, web, arguments)
        if carry_out is not None:
            return await carry_out(client, arguments)
    except PbxRefused as error:
        raise refused(error) from error
    raise CommandRefused("not_available", f"A 3CX v20 cannot do {command}.")
