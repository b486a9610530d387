"""Translate 3CX's refusals into plain sentences with stable codes. Pure.

The words are 3CX's own warnings (``Pbx.Warnings`` of its OpenAPI file).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from monitor.shared.errors import CommandRefused, PbxRefused, RefusalKind

LARGEST: Final = 2**31 - 1
"""The largest whole number in XAPI."""


@dataclass(frozen=True, slots=True)
class _Meaning:
    code: str
    kind: RefusalKind
    sentence: str


_EXISTS: Final = _Meaning("already_exists", "conflict", "The PBX has that number or name already.")
_LIMIT: Final = _Meaning(
    "limit_reached", "conflict", "The PBX's licence or its settings allow no more of these."
)
_LONG: Final = _Meaning("too_long", "bad", "A value is longer than the PBX allows.")
_BAD: Final = _Meaning("bad_value", "bad", "The PBX does not accept one of the values.")
_WARNINGS: Final[dict[str, _Meaning]] = {
    "ALREADY_IN_USE": _EXISTS,
    "DUPLICATE": _EXISTS,
    "OPERATOR_CANNOT_BE_DELETED": _Meaning(
        "operator_extension",
        "conflict",
        "The operator's extension cannot be deleted; make another one the operator.",
    ),
    "CANNOT_BE_DELETED": _Meaning(
        "cannot_be_deleted", "conflict", "The PBX does not let this be deleted."
    ),
    "USER_EXTENSION_CANNOT_BE_DELETED": _Meaning(
        "cannot_be_deleted", "conflict", "The PBX does not let this extension be deleted."
    ),
    "LIMIT_REACHED": _LIMIT,
    "NO_MORE_NUMBERS_AVAILABLE": _LIMIT,
    "TOO_MANY_ITEMS_IN_LIST": _Meaning(
        "limit_reached", "conflict", "The list is longer than the PBX allows."
    ),
    "INVALID_LICENSE_TYPE": _Meaning(
        "licence", "conflict", "The PBX's licence does not include this."
    ),
    "LICENSE_NOT_FOUND": _Meaning("licence", "conflict", "The PBX has no licence."),
    "OUT_OF_THE_RANGE": _Meaning(
        "out_of_range", "bad", "A value is outside of what the PBX allows."
    ),
    "REQUIRED": _Meaning("value_missing", "bad", "The PBX needs a value that was not given."),
    "CAN_NOT_BE_EMPTY_STRING": _Meaning(
        "value_missing", "bad", "The PBX does not accept an empty value here."
    ),
    "FORBIDDEN_CHANGE": _Meaning(
        "forbidden_change", "conflict", "The PBX does not let this be changed."
    ),
    "USER_ROLE_DOWNGRADE": _Meaning(
        "forbidden_change", "conflict", "The PBX does not let this role be lowered."
    ),
    "NON_EXISTENT_EXT_NUMBER": _Meaning(
        "unknown_extension", "missing", "One of the extensions is not at the PBX."
    ),
    "CONTACTS_SPECIFY_NAME_SURNAME_COMPANY": _Meaning(
        "contact_needs_name", "bad", "A contact needs a first name, a last name or a company."
    ),
    "CONTACTS_SPECIFY_NAME_SURNAME": _Meaning(
        "contact_needs_name", "bad", "A contact needs a first name or a last name."
    ),
    "CONTACTS_SPECIFY_PHONE_NUMBER": _Meaning(
        "contact_needs_phone", "bad", "A contact needs a phone number."
    ),
    "STRING_TOO_LONG": _LONG,
    "LENGTH_NOT_MORE_50_CHARS": _Meaning(
        "too_long", "bad", "A value is longer than the 50 characters allowed."
    ),
    "LENGTH_NOT_MORE_255_CHARS": _Meaning(
        "too_long", "bad", "A value is longer than the 255 characters allowed."
    ),
    "LENGTH_NOT_MORE_2048_CHARS": _Meaning(
        "too_long", "bad", "A value is longer than the 2048 characters allowed."
    ),
    "INVALID": _BAD,
    "INVALID_PIN_NUMBER": _Meaning("bad_value", "bad", "The PBX does not accept this PIN."),
    "INVALID_PASSWORD": _Meaning("bad_value", "bad", "The PBX does not accept this password."),
    "INVALID_HEX_CHARACTER": _BAD,
    "DOUBLE_QUOTES_NOT_ALLOWED": _Meaning(
        "bad_value", "bad", "The PBX accepts no double quotes in a value."
    ),
}
_NAMED: Final = re.compile(r"[A-Za-z0-9_./]{1,60}")
_NOT_PERMITTED: Final = (
    "The PBX does not allow this API client to do that. Under Integrations → API in the admin "
    "console it needs the"
    " role System Administrator or System Owner (system_admins, system_owners) and access to the "
    "Configuration API"
    " (XAPI); the licence must include it."
)
_MISSING: Final = frozenset((404, 410))


def refused(error: PbxRefused, missing: CommandRefused | None = None) -> CommandRefused:
    """Return the command's refusal for the PBX's refusal.

    ``missing``: the refusal to return if the PBX says that the subject does not exist.
    """
    warning = error.code.rpartition(".")[2]
    if missing is not None and (error.status in _MISSING or warning == "NOT_FOUND"):
        return missing
    if error.status == 403:
        return CommandRefused("not_permitted", _NOT_PERMITTED)
    meaning = _WARNINGS.get(warning)
    blamed = f" It names {error.target}." if _NAMED.fullmatch(error.target) else ""
    if meaning is not None:
        return CommandRefused(
            meaning.code, f"{meaning.sentence}{blamed} ({error.code})", meaning.kind
        )
    if error.status == 400 and not warning:
        return CommandRefused(_BAD.code, _BAD.sentence + blamed, _BAD.kind)
    word = error.code if _NAMED.fullmatch(error.code) else f"HTTP status {error.status}"
    return CommandRefused("pbx_refused", f"The PBX refuses: {word}.{blamed}")


def no_extension(number: str) -> CommandRefused:
    """Return the refusal for an extension that does not exist."""
    return CommandRefused("unknown_extension", f"The PBX has no extension {number}.", "missing")


def no_queue(number: str) -> CommandRefused:
    """Return the refusal for a queue that does not exist."""
    return CommandRefused("unknown_queue", f"The PBX has no queue {number}.", "missing")


def no_group(number: str) -> CommandRefused:
    """Return the refusal for a ring group that does not exist."""
    return CommandRefused("unknown_group", f"The PBX has no ring group {number}.", "missing")


def no_contact(id_: str) -> CommandRefused:
    """Return the refusal for a contact that does not exist."""
    return CommandRefused("unknown_contact", f"The PBX has no contact {id_}.", "missing")


def unsupported(names: list[str]) -> CommandRefused:
    """Return the refusal for a command with only fields that cannot be set."""
    listed = ", ".join(names)
    return CommandRefused(
        "unsupported", f"A 3CX v20 has no {listed} to set, and nothing else was given.", "conflict"
    )


def check_plus(arguments: Mapping[str, str], names: Iterable[str]) -> None:
    """Raise CommandRefused if one of these numbers has lost its + in an address.

    An address writes a space as a +. Without its + this is another number.
    """
    for name in names:
        value = arguments.get(name, "")
        if value.startswith(" ") and value.strip():
            raise CommandRefused(
                "bad_value", f"{name} begins with a space: a + in an address is written %2B.", "bad"
            )


def nothing_to_set() -> CommandRefused:
    """Return the refusal for a command without any field."""
    return CommandRefused("nothing_to_set", "No field was given: there is nothing to set.", "bad")
