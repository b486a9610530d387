"""Carry out commands that change an extension, through XAPI's ``Users``.

A user is found by number and changed by Id. Profiles are replaced whole: they are read, changed
and sent back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from monitor.pbx.command_result import CommandResult, ReadBack, replied
from monitor.pbx.commands.error_mapping import (
    LARGEST,
    check_plus,
    no_extension,
    nothing_to_set,
    refused,
    unsupported,
)
from monitor.pbx.parsing.json_fields import integer, objects, text
from monitor.pbx.v20_client import XAPI, PbxClient
from monitor.shared.errors import CommandOutcomeUnknown, CommandRefused, PbxError, PbxRefused

Arguments = Mapping[str, str]

UNSUPPORTED: Final = ("reinvite", "replaces")
"""Documented fields that a 3CX v20 has for trunks only."""
_TEXTS: Final = {
    "firstname": "FirstName",
    "lastname": "LastName",
    "email": "EmailAddress",
    "mobile": "Mobile",
    "authid": "AuthID",
    "authpass": "AuthPassword",
    "callerid": "OutboundCallerID",
    "sipid": "SIPID",
    "vmpin": "VMPIN",
}
_NUMBERS: Final = ("mobile", "callerid")
_CREDENTIALS: Final = frozenset(("authid", "authpass", "vmpin"))
"""Fields that are not emptied: a template that leaves them open must not open the extension."""
_FLAGS: Final = {
    "enabled": "Enabled",
    "deliveraudio": "PbxDeliversAudio",
    "vmenabled": "VMEnabled",
    "vmplaycallerid": "VMPlayCallerID",
    "internal": "Internal",
}
_WORDS: Final = {
    "vmemail": ("VMEmailOptions", ("None", "Notification", "Attachment", "AttachmentAndDelete")),
    "vmplaydatetime": ("VMPlayMsgDateTime", ("None", "Play12Hr", "Play24Hr")),
}
_RECORDING: Final = {
    "0": {"RecordCalls": False, "RecordExternalCallsOnly": False},
    "1": {"RecordCalls": True, "RecordExternalCallsOnly": True},
    "2": {"RecordCalls": True, "RecordExternalCallsOnly": False},
}
_SHOWN_STATUSES: Final = {
    "do not disturb": "Out of office",
    "lunch": "Custom 1",
    "business trip": "Custom 2",
}
"""Names of three of the profiles on 3CX's own pages → their names in XAPI."""


def properties(arguments: Arguments) -> dict[str, object]:
    """Return the XAPI properties for the documented fields.

    Fields of profiles, fields that XAPI does not have and empty credentials are left out. Raises
    CommandRefused for a number that has lost its +.
    """
    check_plus(arguments, _NUMBERS)
    found: dict[str, object] = {
        _TEXTS[name]: value
        for name, value in arguments.items()
        if name in _TEXTS and (value or name not in _CREDENTIALS)
    }
    found |= {_FLAGS[name]: value == "1" for name, value in arguments.items() if name in _FLAGS}
    for name, (prop, words) in _WORDS.items():
        if name in arguments:
            found[prop] = words[int(arguments[name])]
    return found | _RECORDING.get(arguments.get("recordcalls", ""), {})


async def update(client: PbxClient, arguments: Arguments) -> CommandResult:
    """Carry out ``ext.update``."""
    number = arguments["num"]
    left_out = [name for name in UNSUPPORTED if name in arguments]
    changes = properties(arguments)
    timeout = _timeout(arguments)
    if not changes and timeout is None:
        raise unsupported(left_out) if left_out else nothing_to_set()
    user = await find(client, number)
    if timeout is not None:
        changes["ForwardingProfiles"] = _with_timeout(user, timeout)
    await patch(client, user, changes)
    return CommandResult(ReadBack(users=frozenset((number,))), replied(left_out))


async def options(client: PbxClient, arguments: Arguments) -> CommandResult:
    """Carry out ``ext.options.set``."""
    changes: dict[str, object] = {}
    if "enabled" in arguments:
        changes["Enabled"] = arguments["enabled"] == "on"
    if "external" in arguments:
        changes["Internal"] = arguments["external"] == "off"
    if "recording" in arguments:
        changes |= _RECORDING[{"off": "0", "external": "1", "all": "2"}[arguments["recording"]]]
    await patch(client, await find(client, arguments["num"]), changes)
    return CommandResult(ReadBack(users=frozenset((arguments["num"],))))


async def forwarding(client: PbxClient, arguments: Arguments) -> CommandResult:
    """Carry out ``ext.fwd.set``: set the profile in force, and its message if one is given."""
    user = await find(client, arguments["num"])
    profile = _profile_named(user, arguments["status"])
    changes: dict[str, object] = {"CurrentProfileName": text(profile, "Name")}
    if "message" in arguments:
        changes["ForwardingProfiles"] = [
            {**row, "CustomMessage": arguments["message"]} if row is profile else row
            for row in _profiles(user)
        ]
    await patch(client, user, changes)
    return CommandResult(ReadBack(users=frozenset((arguments["num"],))))


async def queue_login(client: PbxClient, arguments: Arguments) -> CommandResult:
    """Carry out ``ext.queueglobal.set``.

    If the profile in force governs queue login, the result is false. XAPI does not tell whether it
    does: ``OfficeHoursAutoQueueLogOut`` may mean something else. So the PBX is asked, and the login
    is read back: if it stayed as it was, the profile governs it.
    """
    user = await find(client, arguments["num"])
    wanted = "LoggedIn" if arguments["log"] == "on" else "LoggedOut"
    await patch(client, user, {"QueueStatus": wanted})
    try:
        obeyed = text(await find(client, arguments["num"]), "QueueStatus") == wanted
    except (PbxError, CommandRefused) as error:
        raise CommandOutcomeUnknown(
            f"The PBX was asked, but it is not known whether it was done: {error}"
        ) from error
    return CommandResult(
        ReadBack(users=frozenset((arguments["num"],))), {} if obeyed else {"result": False}
    )


async def new(client: PbxClient, arguments: Arguments) -> CommandResult:
    """Carry out ``ext.new``.

    Some fields need a second step. If that step fails or is cancelled, the first step is undone.
    """
    number = arguments["num"]
    left_out = [name for name in UNSUPPORTED if name in arguments]
    timeout = _timeout(arguments)
    try:
        made = await client.post(f"{XAPI}/Users", {"Number": number, **properties(arguments)})
    except PbxRefused as error:
        raise refused(error) from error
    if timeout is not None:
        try:
            user = await find(client, number)
            await patch(client, user, {"ForwardingProfiles": _with_timeout(user, timeout)})
        except (PbxError, CommandRefused, CommandOutcomeUnknown) as error:
            await _undo(client, number, made, str(error))
            text_ = (
                f"The extension {number} was made, but not all fields could be set, so it was "
                f"deleted again. {error}"
            )
            raise CommandRefused("undone", text_) from error
        except asyncio.CancelledError:
            await _undo(client, number, made, "There was no time left.")
            raise
    return CommandResult(ReadBack(users=frozenset((number,))), replied(left_out))


async def _undo(client: PbxClient, number: str, made: object, why: str) -> None:
    """Delete the extension that was just made.

    Raises CommandOutcomeUnknown if that fails too.
    """
    id_ = integer(made, "Id") if isinstance(made, dict) else None
    try:
        await client.delete(f"{XAPI}/Users({id_ or (await find(client, number))['Id']})")
    except (PbxError, CommandRefused, CommandOutcomeUnknown) as error:
        raise CommandOutcomeUnknown(
            f"The extension {number} was made, but not all fields could be set ({why}), and it "
            "may not have been deleted again"
            f" ({error}). Look at the PBX: delete it, or set what is missing."
        ) from error


async def delete(client: PbxClient, arguments: Arguments) -> CommandResult:
    """Carry out ``ext.del``."""
    number = arguments["num"]
    user = await find(client, number)
    try:
        await client.delete(f"{XAPI}/Users({user['Id']})")
    except PbxRefused as error:
        raise refused(error, no_extension(number)) from error
    return CommandResult(ReadBack(frozenset((number,))))


async def find(client: PbxClient, number: str) -> dict[str, Any]:
    """Return the user with this number, with whole profiles.

    Raises CommandRefused if there is none.
    """
    key = quote(number.replace("'", "''"), safe="")
    try:
        user = await client.get_json(
            f"{XAPI}/Users(Number='{key}')", {"$expand": "ForwardingProfiles"}
        )
    except PbxRefused as error:
        raise refused(error, no_extension(number)) from error
    if not isinstance(user, dict) or integer(user, "Id") is None:
        raise no_extension(number)
    return user


async def patch(client: PbxClient, user: Mapping[str, Any], changes: Mapping[str, object]) -> None:
    """Change a user. Raises CommandRefused, CommandOutcomeUnknown, PbxError."""
    try:
        await client.patch(f"{XAPI}/Users({user['Id']})", changes)
    except PbxRefused as error:
        raise refused(error, no_extension(text(user, "Number"))) from error


def _profiles(user: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(objects(user.get("ForwardingProfiles")))


def _timeout(arguments: Arguments) -> int | None:
    """Return the seconds of ``noanswertimeout``, or None if it was not given.

    Raises CommandRefused if XAPI cannot take it.
    """
    seconds = arguments.get("noanswertimeout")
    if seconds is not None and int(seconds) > LARGEST:
        raise CommandRefused("out_of_range", "noanswertimeout is too long.", "bad")
    return None if seconds is None else int(seconds)


def _with_timeout(user: Mapping[str, Any], seconds: int) -> list[dict[str, Any]]:
    """Return all profiles with this time in seconds.

    An extension has no such time of its own any more; each of its profiles has one.
    """
    return [{**row, "NoAnswerTimeout": seconds} for row in _profiles(user)]


def _profile_named(user: Mapping[str, Any], status: str) -> Mapping[str, Any]:
    rows = _profiles(user)
    wanted = status.strip().casefold()
    for name in (wanted, _SHOWN_STATUSES.get(wanted, "").casefold()):
        for row in rows:
            if name and name in (text(row, "Name").casefold(), text(row, "CustomName").casefold()):
                return row
    known = ", ".join(text(row, "Name") for row in rows)
    raise CommandRefused(
        "unknown_status", f"There is no status {status!r}; this extension has: {known}.", "bad"
    )
