"""Carry out what is done with users: duplicates, secrets, several at once."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Mapping
from typing import Final

from monitor.simulator.pbx_data.templates import Entity
from monitor.simulator.xapi import errors, writes
from monitor.simulator.xapi.actions.operation import (
    DONE,
    Operation,
    body_ids,
    body_object,
    body_part,
)
from monitor.simulator.xapi.context import Site
from monitor.simulator.xapi.request import XapiRequest, XapiResponse
from monitor.simulator.xapi.validation import check

_RENEWED: Final[Mapping[str, tuple[str, ...]]] = {
    "WebclientPassword": ("AccessPassword",),
    "SipAuth": ("AuthID", "AuthPassword"),
    "DeskphonePassword": ("DeskphonePassword",),
    "VoicemailPIN": ("VMPIN",),
}
"""Properties that an option of ``Pbx.RegenerateOptions`` renews. The others make new links."""


def _has_duplicated_email(asked: XapiRequest) -> XapiResponse:
    address = str(asked.entity["EmailAddress"] or "").lower()
    shared = bool(address) and _addresses(asked.site)[address] > 1
    return asked.reply("Edm.Boolean", {"value": shared})


def _duplicated_emails(asked: XapiRequest) -> XapiResponse:
    known = _addresses(asked.site)
    found = [text for text in body_ids(asked, "emails", str) if known[text.lower()]]
    return asked.reply("Collection(Edm.String)", {"value": found})


def _addresses(site: Site) -> Counter[str]:
    """Return how many users have each e-mail address."""
    return Counter(
        str(user["EmailAddress"] or "").lower() for user in site.directory.users.values()
    )


def _phone_secret(asked: XapiRequest) -> XapiResponse:
    return asked.reply("Edm.String", {"value": asked.entity["DeskphonePassword"] or ""})


def _regenerate(asked: XapiRequest) -> XapiResponse:
    _renew(asked.site, asked.entity, body_object(asked) if asked.body else {})
    return DONE


def _regenerate_passwords(asked: XapiRequest) -> XapiResponse:
    users = _users(asked, "Ids")
    options = check("RegenerateOptions", body_part(asked, "opts"))
    for user in users:
        _renew(asked.site, user, options)
    return DONE


def _renew(site: Site, user: Entity, options: Mapping[str, object]) -> None:
    """Make new secrets: those that the options choose, or all if they choose none."""
    chosen = [option for option in _RENEWED if options.get(option)] or list(_RENEWED)
    fresh: Entity = {}
    for option in chosen:
        for name in _RENEWED[option]:
            pin = f"{secrets.randbelow(10**4):04}"
            fresh[name] = pin if name == "VMPIN" else secrets.token_hex(8)
    site.directory.update(user, fresh)


def _bulk_update(asked: XapiRequest) -> XapiResponse:
    users, values = _users(asked), body_part(asked, "user")
    for user in users:
        writes.change_dn(asked.site.directory, asked.site.switches, "extension", user, values)
    return DONE


def _users(asked: XapiRequest, name: str = "ids") -> list[Entity]:
    """Return the users that the body names. Raises ODataError or XapiError."""
    users = [asked.site.directory.users.get(key) for key in body_ids(asked, name)]
    if None in users:
        raise errors.not_found()
    return [user for user in users if user is not None]


def _export(asked: XapiRequest) -> XapiResponse:
    return asked.many("User", asked.site.directory.users.values(), "Users")


OPERATIONS: Final[Mapping[tuple[str, str], Operation]] = {
    ("Users", "Pbx.HasDuplicatedEmail"): Operation("GET", _has_duplicated_email, bound=True),
    ("Users", "Pbx.GetDuplicatedEmails"): Operation("POST", _duplicated_emails),
    ("Users", "Pbx.GetPhoneSecret"): Operation("GET", _phone_secret, bound=True),
    ("Users", "Pbx.Regenerate"): Operation("POST", _regenerate, bound=True),
    ("Users", "Pbx.RegeneratePasswords"): Operation("POST", _regenerate_passwords),
    ("Users", "Pbx.BulkUpdate"): Operation("POST", _bulk_update),
    ("Users", "Pbx.MultiUserUpdate"): Operation("POST", _bulk_update),
    ("Users", "Pbx.ExportExtensions"): Operation("GET", _export),
}
"""Operations by the collection to which they belong and by name."""
