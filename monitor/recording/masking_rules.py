"""Decide what of a PBX's answers and events is kept, masked or left out. Pure.

Only what cannot name a person is kept: ids, times, words of an enumeration, DNs. Secrets are
emptied. All other texts are masked, whether they are known here or not.
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import quote, unquote

from monitor.recording.masking import Mask

TOKEN: Final = "/connect/token"  # noqa: S105 - an address
SESSION: Final = "/webclient/api/MyPhone/session"
_DEFINITIONS: Final = "/xapi/v1/Defs/"
WEB_CLIENT: Final = "/MyPhone/MPWebService.asmx"
DONE: Final = "successfully processed"
"""Words that are kept of the web client's answer to a command that was done."""

HEADERS: Final = frozenset(
    ("content-type", "date", "odata-version", "retry-after", "server", "x-3cx-version")
)
"""Names of the headers that are kept."""

_SECRET: Final = re.compile(r"pass|secret|token|pin|key|auth|sipid|dtmf", re.IGNORECASE)
_KEPT: Final = frozenset(
    (
        # Call Control
        "status", "type", "party_dn_type", "originated_by_type", "referred_by_type",
        "on_behalf_of_type", "user_agent",
        # XAPI
        "Id", "Status", "LastChangeStatus", "EstablishedAt", "ServerNow", "QueueStatus",
        "VMEmailOptions", "VMPlayMsgDateTime", "RingStrategy", "IVRType", "Type", "Condition",
        "SkillGroup", "Version", "TimeZoneId", "IanaName", "WindowsName", "SLATime",
        "PollingStrategy", "ContactType", "RoleName",
        # errors
        "code", "target", "error", "token_type",
    )
)  # fmt: skip
_PROFILES: Final = frozenset(("Available", "Away", "Out of office", "Custom 1", "Custom 2"))
_TEXTS: Final = re.compile(r"Caller|Callee|.*[nN]ame|Title|Department|Tag|message|reason.*")
"""Fields with texts for people. A DN may stand there beside a name or another DN, so they are never
treated as one number."""
_IDS: Final = frozenset(
    ("Id", "id", "callid", "legid", "sequence", "GroupId", "TrunkId", "@odata.count")
)
_LARGE: Final = 1_000_000
"""Whole numbers from this one on may be a person's number."""
_SHORT: Final = 6
"""The largest number of digits of a DN."""
_DEVICE: Final = re.compile(r"(sips?:)?([^@;]*)(@[^;]*)?(;.*)?", re.DOTALL)
_PARAMETER: Final = re.compile(r"=([^;]*)")
_ENTITY: Final = re.compile(r"(/callcontrol/[^/]+(?:/participants(?:/\d+)?)?/?)(.*)", re.DOTALL)
_QUOTE_OR_END: Final = re.compile(r"(%27|'|&)")


def body(mask: Mask, value: Any) -> Any:
    """Return what is kept of the JSON of an answer or an event."""
    return _value(mask, "", value, "")


def granted(value: Any) -> dict[str, Any]:
    """Return what is kept of the answer to a request for a token."""
    kept = ("token_type", "expires_in", "error")
    known = value if isinstance(value, dict) else {}
    return {name: known[name] for name in kept if isinstance(known.get(name), str | int)}


def address(mask: Mask, path: str) -> str:
    """Return what is kept of a request's path and query.

    Quoted numbers that are not DNs are masked. 3CX's own definitions, such as its time zones, are
    asked for by numbers of their own; these stay.
    """
    if path.startswith(_DEFINITIONS):
        return path
    parts = _QUOTE_OR_END.split(path)
    for at in range(2, len(parts) - 2, 2):
        if "&" not in (parts[at - 1], parts[at + 1]):
            parts[at] = _literal(mask, parts[at])
    return "".join(parts)


def _literal(mask: Mask, quoted: str) -> str:
    text = unquote(quoted)
    number = any("0" <= char <= "9" for char in text)
    return quote(mask.number(text), safe="'") if number and text != mask.number(text) else quoted


def _value(mask: Mask, name: str, value: Any, within: str) -> Any:
    match value:
        case dict():
            return {
                key: _value(mask, key, item, name)
                for key, item in value.items()
                if not key.startswith("@odata.") or key == "@odata.count"
            }
        case list():
            return [_value(mask, name, item, within) for item in value]
        case str():
            return _text(mask, name, value, within)
        case bool() | None:
            return value
        case int() | float() if _SECRET.search(name):
            return 0
        case int() | float():
            return (
                value
                if name in _IDS or abs(value) < _LARGE
                else int(mask.number(str(int(abs(value)))))
            )
    return None


def _text(mask: Mask, name: str, value: str, within: str) -> str:  # noqa: C901 - a table
    if not value:
        return value
    match name:
        case "entity":
            known = _ENTITY.fullmatch(value)
            return known[1] + mask.text(known[2]) if known else mask.text(value)
        case "device_id":
            return _device(mask, value)
        case "Number" | "dn" if _learnt(mask, value):
            return value
        case _ if name.endswith("_dn") and _learnt(mask, value):
            return value
        case "CurrentProfileName" if value in _PROFILES:
            return value
        case "Name" if within == "ForwardingProfiles" and value in _PROFILES:
            return value
        case "message" if value.startswith("WARNINGS."):
            return value
        case _ if name in _KEPT:
            return value
        case _ if _SECRET.search(name):
            return ""
        case _ if _TEXTS.fullmatch(name):
            return mask.text(value)
    return mask.value(value)


def _learnt(mask: Mask, value: str) -> bool:
    """Return whether a value in a DN's place is a DN: it is known, short, or no number.

    A DN that was not known is learnt.
    """
    digits = sum("0" <= char <= "9" for char in value)
    if not mask.is_dn(value):
        if digits > _SHORT or value.startswith("+") or " " in value:
            return False
        mask.learn(value)
    return True


def _device(mask: Mask, value: str) -> str:
    """Mask a SIP contact: the user stays if it is a DN, the host does not stay."""
    found = _DEVICE.fullmatch(value)
    if found is None:
        return mask.value(value)
    scheme, user, host, rest = (part or "" for part in found.groups())
    parameters = _PARAMETER.sub(lambda parameter: f"={mask.text(parameter[1])}", rest)
    return f"{scheme}{user if mask.is_dn(user) else mask.value(user)}{mask.text(host)}{parameters}"
