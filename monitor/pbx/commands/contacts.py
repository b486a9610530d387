"""Carry out commands that change the address book, through XAPI's ``Contacts``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from monitor.pbx.command_result import CommandResult, ReadBack, replied
from monitor.pbx.commands.error_mapping import (
    LARGEST,
    check_plus,
    no_contact,
    nothing_to_set,
    refused,
    unsupported,
)
from monitor.pbx.parsing.json_fields import integer
from monitor.pbx.v20_client import XAPI, PbxClient
from monitor.shared.errors import CommandOutcomeUnknown, PbxRefused

UNSUPPORTED: Final = ("crmcontactdata", "data2", "data8")
"""Documented fields that a 3CX v20 does not have: CRM data, Home2, Homefax."""
_FIELDS: Final = {
    "firstname": "FirstName",
    "lastname": "LastName",
    "company": "CompanyName",
    "tag": "Tag",
    "phone": "PhoneNumber",
    "data0": "Mobile2",
    "data1": "Home",
    "data3": "Business",
    "data4": "Business2",
    "data5": "Email",
    "data6": "Other",
    "data7": "BusinessFax",
    "data9": "Pager",
}
_NUMBERS: Final = ("phone", "data0", "data1", "data3", "data4", "data6", "data7", "data9")


async def update(client: PbxClient, arguments: Mapping[str, str]) -> CommandResult:
    """Carry out ``contact.update``."""
    changes, left_out = _changes(arguments)
    id_ = _id(arguments)
    try:
        await client.patch(f"{XAPI}/Contacts({id_})", changes)
    except PbxRefused as error:
        raise refused(error, no_contact(str(id_))) from error
    return CommandResult(ReadBack(contacts=frozenset((id_,))), replied(left_out))


async def new(client: PbxClient, arguments: Mapping[str, str]) -> CommandResult:
    """Carry out ``contact.new``. The reply has the ``id``."""
    changes, left_out = _changes(arguments)
    try:
        made = await client.post(f"{XAPI}/Contacts", changes)
    except PbxRefused as error:
        raise refused(error) from error
    id_ = integer(made, "Id") if isinstance(made, dict) else None
    if id_ is None:
        raise CommandOutcomeUnknown("The PBX made the contact but did not return its id.")
    return CommandResult(ReadBack(contacts=frozenset((id_,))), replied(left_out, id=id_))


async def delete(client: PbxClient, arguments: Mapping[str, str]) -> CommandResult:
    """Carry out ``contact.del``."""
    id_ = _id(arguments)
    try:
        await client.delete(f"{XAPI}/Contacts({id_})")
    except PbxRefused as error:
        raise refused(error, no_contact(str(id_))) from error
    return CommandResult(ReadBack(contacts=frozenset((id_,))))


def _id(arguments: Mapping[str, str]) -> int:
    """Return the contact's id. Raises CommandRefused if it is larger than XAPI's ids can be."""
    id_ = int(arguments["id"])
    if id_ > LARGEST:
        raise no_contact(str(id_))
    return id_


def _changes(arguments: Mapping[str, str]) -> tuple[dict[str, object], list[str]]:
    """Return XAPI's properties, and the names of the fields that XAPI does not have.

    Raises CommandRefused if nothing is left to set, or for a number that has lost its +.
    """
    check_plus(arguments, _NUMBERS)
    left_out = [name for name in UNSUPPORTED if name in arguments]
    changes: dict[str, object] = {
        _FIELDS[name]: value for name, value in arguments.items() if name in _FIELDS
    }
    if not changes:
        raise unsupported(left_out) if left_out else nothing_to_set()
    return changes, left_out
