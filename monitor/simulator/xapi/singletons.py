"""List the entities of which the PBX has one each: how they are read and changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from monitor.simulator.pbx_data.templates import Entity
from monitor.simulator.xapi.description.operations import described
from monitor.simulator.xapi.description.schema import schema
from monitor.simulator.xapi.own_account import (
    change_own_group,
    change_own_user,
    own_group,
    own_user,
)
from monitor.simulator.xapi.plain_entities import change_settings, kind_of
from monitor.simulator.xapi.request import XapiRequest
from monitor.simulator.xapi.system import defs, license_status, office_hours, system_status


@dataclass(frozen=True, slots=True)
class Singleton:
    """Represent a single entity.

    ``read`` returns it as it is stored or computed. ``write`` sets properties from the body; None:
    as they are sent.
    """

    name: str
    read: Callable[[XapiRequest], Entity]
    write: Callable[[XapiRequest, Entity], None] | None = None

    @property
    def shape(self) -> str:
        """Return the entity type."""
        return kind_of(self.name)

    @property
    def changeable(self) -> bool:
        """Return whether clients may set its properties."""
        return f"PATCH /{self.name}" in schema().operations

    def change(self, asked: XapiRequest) -> None:
        """Set properties. Raises ODataError or XapiError."""
        entity = self.read(asked)
        if self.write is not None:
            self.write(asked, entity)
        else:
            change_settings(asked.site.directory, self.shape, entity, asked.body)


def _office_hours(asked: XapiRequest) -> Entity:
    return asked.site.plain.settings("OfficeHours", lambda: office_hours(asked.site))


_OWN: Final = (
    Singleton("SystemStatus", lambda asked: system_status(asked.site)),
    Singleton("Defs", lambda _: defs()),
    Singleton("LicenseStatus", lambda asked: license_status(asked.site)),
    Singleton("DialCodeSettings", lambda asked: asked.site.directory.dial_codes),
    Singleton("OfficeHours", _office_hours),
    Singleton("MyUser", own_user, change_own_user),
    Singleton("MyGroup", own_group, change_own_group),
)
"""Entities that are not stored as clients write them."""


def _plain(name: str) -> Singleton:
    return Singleton(name, lambda asked: asked.site.plain.settings(name))


SINGLETONS: Final[Mapping[str, Singleton]] = {
    **{
        operation.owner: _plain(operation.owner)
        for operation in described()
        if operation.lists and not operation.answer.many
    },
    **{single.name: single for single in _OWN},
}
"""Single entities by name."""
