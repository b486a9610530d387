"""What 3CX refuses, in plain sentences with stable codes. Pure.

The words are 3CX's own warnings (``Pbx.Warnings`` of its OpenAPI file).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from monitor.errors import CommandRefused, PbxRefused, RefusalKind


@dataclass(frozen=True, slots=True)
class _Meaning:
    code: str
    kind: RefusalKind
    sentence: str


_WARNINGS: Final[dict[str, _Meaning]] = {
    "ALREADY_IN_USE": _Meaning("already_exists", "conflict", "The PBX has that number or name already."),
    "DUPLICATE": _Meaning("already_exists", "conflict", "The PBX has that number or name already."),
    "OPERATOR_CANNOT_BE_DELETED": _Meaning(
        "operator_extension", "conflict", "The operator's extension cannot be deleted; make another one the operator."
    ),
    "LIMIT_REACHED": _Meaning("limit_reached", "conflict", "The PBX's licence or its settings allow no more of these."),
    "OUT_OF_THE_RANGE": _Meaning("out_of_range", "bad", "A value is outside of what the PBX allows."),
    "REQUIRED": _Meaning("value_missing", "bad", "The PBX wants a value that was not given."),
    "FORBIDDEN_CHANGE": _Meaning("forbidden_change", "conflict", "The PBX does not let this be changed."),
    "CONTACTS_SPECIFY_NAME_SURNAME_COMPANY": _Meaning(
        "contact_needs_name", "bad", "A contact needs a first name, a last name or a company."
    ),
    "CONTACTS_SPECIFY_PHONE_NUMBER": _Meaning("contact_needs_phone", "bad", "A contact needs a phone number."),
    "LENGTH_NOT_MORE_255_CHARS": _Meaning("too_long", "bad", "A value is longer than the 255 characters allowed."),
    "TOO_LONG": _Meaning("too_long", "bad", "A value is longer than the PBX allows."),
    "INVALID": _Meaning("bad_value", "bad", "The PBX does not take one of the values."),
    "NO_NUMBERS": _Meaning("limit_reached", "conflict", "The PBX has no free number left."),
}
_MISSING: Final = frozenset((404, 410))


def refused(error: PbxRefused, missing: CommandRefused | None = None) -> CommandRefused:
    """The command's refusal for the PBX's. ``missing``: what to say where the PBX says that it does not exist."""
    warning = error.code.rpartition(".")[2]
    if missing is not None and (error.status in _MISSING or warning == "NOT_FOUND"):
        return missing
    if error.status == 403:
        return CommandRefused(
            "not_permitted",
            "The PBX does not allow this API client to do that: give it a role with that right, under Integrations → "
            "API in the admin console.",
        )
    meaning = _WARNINGS.get(warning)
    if meaning is not None:
        return CommandRefused(meaning.code, f"{meaning.sentence} ({error.code})", meaning.kind)
    return CommandRefused("pbx_refused", f"The PBX refuses: {error.code or f'HTTP status {error.status}'}.")


def no_extension(number: str) -> CommandRefused:
    """There is no such extension."""
    return CommandRefused("unknown_extension", f"The PBX has no extension {number}.", "missing")


def no_queue(number: str) -> CommandRefused:
    """There is no such queue."""
    return CommandRefused("unknown_queue", f"The PBX has no queue {number}.", "missing")


def no_group(number: str) -> CommandRefused:
    """There is no such ring group."""
    return CommandRefused("unknown_group", f"The PBX has no ring group {number}.", "missing")


def no_contact(id_: str) -> CommandRefused:
    """There is no such contact."""
    return CommandRefused("unknown_contact", f"The PBX has no contact {id_}.", "missing")


def unsupported(names: list[str]) -> CommandRefused:
    """None of what was to be set can be."""
    listed = ", ".join(names)
    return CommandRefused("unsupported", f"A 3CX v20 has no {listed} to set, and nothing else was given.", "conflict")


def nothing_to_set() -> CommandRefused:
    """No field was given."""
    return CommandRefused("nothing_to_set", "No field was given: there is nothing to set.", "bad")
