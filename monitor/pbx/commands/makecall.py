"""Carry out ``makecall``: call any number from an extension's phone, a route point or a queue.

- A number with one device: Call Control dials on that device. An extension's devices are its
  phones. Route points have one, and so do queues and IVRs that Call Control shows.
- An extension with several phones: the PBX's own service rings the extension first.
- A queue or the like without a device: the PBX is asked to call from it as it can.
- A number that Call Control does not show: the call is asked for through XAPI.

Failures come with another HTTP status and the same JSON, or with 200. Both are understood.
``finalstatus`` may be a number, or a word in any case.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from monitor.pbx.command_result import CommandResult, ReadBack
from monitor.pbx.commands.error_mapping import check_plus, refused
from monitor.pbx.commands.extensions import find
from monitor.pbx.http_client.transport import HttpResponse
from monitor.pbx.parsing.json_fields import integer, objects, record, text
from monitor.pbx.v20_client import CALL_CONTROL, XAPI, PbxClient
from monitor.shared import phone_numbers
from monitor.shared.codec import to_json
from monitor.shared.errors import (
    CommandOutcomeUnknown,
    CommandRefused,
    PbxError,
    PbxGarbled,
    PbxRefused,
)

RINGS_S: Final = 30
"""Seconds for which the extension rings."""
_PATIENCE_S: Final = RINGS_S + 15.0
_TEL: Final = re.compile(r"\s*tel:", re.IGNORECASE)
_WHOLE: Final = re.compile(r"(?:\d[\s().\-/]{0,3}){6,}")
"""A part of a text with enough digits to be a number of its own."""
_GROUP: Final = re.compile(r"\d{7,}")
"""Digits that nobody writes twice in one number."""
_SHORT_ONES: Final = re.compile(r"\d{2,5}(?: ?[,;|\n] ?\d{2,5})+")
"""Numbers of the PBX, one after the other."""
_MOST_ABROAD: Final = 15
"""Digits of a number with its calling code, at most (ITU-T E.164)."""
_MOST_DIGITS: Final = 20
"""Digits that are dialled for one number, at most: 15 of E.164, and prefixes before them."""
_LONGEST: Final = 200
"""Characters of the PBX's own reason that are passed on."""
_NOT_SHOWN: Final = frozenset((401, 403, 404))
_SENTENCES: Final = {
    "OperationTimeout": "Nobody answered in time.",
    "UnknownDestination": "The PBX has no route to that number.",
    "DestinationBusy": "The number is busy.",
    "DestinationNoAnswer": "Nobody answers at the number.",
    "DestinationIsNotRegistered": "The phone is not registered.",
    "DestinationIsNotReachable": "The number cannot be reached.",
    "PartyConnectionLost": "The connection to the phone was lost.",
    "ParentConnectionTerminated": "The first leg was hung up.",
    "CompletedElsewhere": "The call was taken elsewhere.",
    "Cancelled": "The call was cancelled.",
    "RoutingLoopDetected": "The call would go in circles.",
}


_REASONS: Final = {word.lower(): word for word in _SENTENCES}


async def make(client: PbxClient, arguments: Mapping[str, str]) -> CommandResult:
    """Carry out ``makecall``.

    The reply has ``finalStatus`` and, if the PBX tells it, ``callid``.
    """
    check_plus(arguments, ("second",))
    first, second = arguments["first"], dialled(arguments["second"])
    devices = await _devices(client, first)
    if not devices:
        is_extension = await _is_extension(client, first)
        if is_extension and devices is not None:
            raise CommandRefused("no_device", f"No phone is registered at extension {first}.")
    body: dict[str, object]
    if devices is None:
        path, body = f"{XAPI}/Users/Pbx.MakeCall", {"dn": first, "destination": second}
    else:
        at = f"/devices/{quote(devices[0], safe='')}" if len(devices) == 1 else ""
        path = f"{CALL_CONTROL}/{quote(first, safe='')}{at}/makecall"
        body = {"destination": second, "timeout": RINGS_S}
    answer = await client.order("POST", path, to_json(body), timeout=_PATIENCE_S)
    said = _said(answer)
    if said is None:
        if answer.good or answer.status >= 500:
            raise CommandOutcomeUnknown(
                f"The PBX answered {answer.status} and did not mention the call: it is not known "
                f"whether it rings."
            )
        error = answer.refusal()
        raise refused(error, _nobody(first)) if isinstance(error, PbxRefused) else error
    return _done(first, second, said, shown=devices is not None)


def dialled(number: str) -> str:
    """Return what is to be dialled for a number in any notation.

    Text that is more than a number stays as it is, without spaces around it. The parameters of a
    ``tel:`` address are left out (RFC 3966). Raises CommandRefused for two numbers in one text.
    """
    if "@" in number:
        return number.strip()
    if _TEL.match(number):
        number = number.partition(";")[0]
    plain = phone_numbers.plain(number)
    if (
        len(phone_numbers.several(number)) > 1
        or len(_WHOLE.findall(plain)) > 1
        or len(_GROUP.findall(number)) > 1
        or _SHORT_ONES.fullmatch(number.strip())
        or sum(map(str.isdigit, plain)) > (_MOST_ABROAD if plain[:1] == "+" else _MOST_DIGITS)
    ):
        raise CommandRefused(
            "bad_value", "second holds more than one number: give the one to be called.", "bad"
        )
    return plain


def _said(answer: HttpResponse) -> dict[str, Any] | None:
    """Return the result of a call from an answer of any status, or None if it holds none.

    The names are in lower case.
    """
    try:
        said = answer.json()
    except PbxGarbled:
        return None
    result = _lower(said) if isinstance(said, dict) else {}
    return result if text(result, "finalstatus").strip() else None


async def _devices(client: PbxClient, number: str) -> list[str] | None:
    """Return the number's devices, or None if Call Control does not show them.

    Raises CommandRefused if the PBX refuses.
    """
    try:
        rows = await client.get_json(f"{CALL_CONTROL}/{quote(number, safe='')}/devices")
    except PbxRefused as error:
        if error.status in _NOT_SHOWN:
            return None
        raise refused(error, _nobody(number)) from error
    return [device for row in objects(rows) if (device := text(row, "device_id"))]


async def _is_extension(client: PbxClient, number: str) -> bool:
    """Return whether the number is a user's; False for a queue, a route point and the like.

    Where the PBX does not let its other numbers be looked up, its answer to the call will tell.
    Raises CommandRefused if the PBX has no such number.
    """
    try:
        await find(client, number)
    except CommandRefused as error:
        if error.kind != "missing":
            raise
    else:
        return True
    key = quote(number.replace("'", "''"), safe="")
    try:
        await client.get_json(f"{XAPI}/Peers(Number='{key}')")
    except PbxRefused as refusal:
        none = refused(refusal, _nobody(number))
        if none.kind == "missing":
            raise none from refusal
    except PbxError:  # such a collection may fail for good; if it is more, the call fails too
        pass
    return False


def _nobody(number: str) -> CommandRefused:
    sentence = f"The PBX has no extension, queue or route point {number} to call from."
    return CommandRefused("unknown_extension", sentence, "missing")


def _done(first: str, second: str, said: dict[str, Any], *, shown: bool) -> CommandResult:
    word = text(said, "finalstatus").strip().capitalize()
    status = {"1": "Success", "0": "Rejected", "-1": "Failed"}.get(word, word)
    reason = text(said, "reason")
    reason = _REASONS.get(reason.strip().lower(), reason)
    if status != "Success":
        if reason == "SubjectNotFound":
            raise _nobody(first)
        said_why = (
            text(said, "reasontext").strip().rstrip(".")[:_LONGEST] or reason or status or "nothing"
        )
        sentence = _SENTENCES.get(reason) or f"The PBX says: {said_why}."
        raise CommandRefused(_snake(reason) if reason in _SENTENCES else "call_failed", sentence)
    result = _lower(record(said, "result"))
    call_id, participant = integer(result, "callid"), integer(result, "id")
    reply: dict[str, object] = {"finalStatus": status}
    if call_id:
        reply["callid"] = call_id
    return CommandResult(
        ReadBack(call=(text(result, "dn") or first, participant if shown else None)),
        reply,
        (call_id, first, second) if call_id else None,
    )


def _lower(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row with names in lower case: Call Control writes them so, XAPI in PascalCase."""
    return {name.lower(): value for name, value in row.items()}


def _snake(word: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", word).lower()
