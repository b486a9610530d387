"""Tell clients of themselves: their user, department and logins.

A person has all three. An API client has a department, but it is not a user, and it has no logins.
"""

from __future__ import annotations

from monitor.simulator.pbx_data.templates import Entity
from monitor.simulator.tokens import RefreshGrant
from monitor.simulator.xapi import errors, writes
from monitor.simulator.xapi.context import Site
from monitor.simulator.xapi.description.schema import new_entity
from monitor.simulator.xapi.odata.operators import written
from monitor.simulator.xapi.request import XapiRequest


def own_user(asked: XapiRequest) -> Entity:
    """Return the client's ``Pbx.User``. Raises XapiError if it is an API client."""
    dn = asked.site.directory.dn(asked.client_id)
    user = asked.site.directory.entity(asked.client_id)
    if dn is None or user is None or dn.kind != "extension":
        raise errors.not_found()
    return user


def change_own_user(asked: XapiRequest, user: Entity) -> None:
    """Set properties of the client's user. Raises ODataError or XapiError."""
    writes.change_dn(asked.site.directory, asked.site.switches, "extension", user, asked.body)


def own_group(asked: XapiRequest) -> Entity:
    """Return the client's first department. Raises XapiError if it has none."""
    entity = asked.site.directory.entity(asked.client_id)
    ids = [row["GroupId"] for row in entity["Groups"]] if entity else []
    groups = asked.site.directory.groups
    found = next((groups[key] for key in ids if key in groups), None)
    if found is None:
        raise errors.not_found()
    return found


def change_own_group(asked: XapiRequest, group: Entity) -> None:
    """Set properties of the client's department. Raises ODataError, or XapiError by its role."""
    if asked.role not in ("group_owners", "system_admins", "system_owners"):
        raise errors.forbidden()
    writes.change_group(asked.site.directory, asked.site.switches, group, asked.body)


def logins(site: Site, client_id: str | None = None) -> list[Entity]:
    """Return a ``Pbx.RefreshToken`` for each login, of one person or of all (None)."""
    grants = site.tokens.logins() if site.tokens is not None else []
    return [_refresh_token(one) for one in grants if client_id in (None, one.number)]


def _refresh_token(grant: RefreshGrant) -> Entity:
    return new_entity(
        "RefreshToken",
        Created=written(grant.created),
        Expires=written(grant.expires),
        Id=grant.id,
        LoginType="Password",
        Used=written(grant.created),
        Username=grant.number,
    )
