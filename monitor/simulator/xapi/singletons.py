"""List the entities of which the PBX has one each: how they are read and changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from monitor.simulator.pbx_data.templates import Entity
from monitor.simulator.xapi.context import Site
from monitor.simulator.xapi.description.schema import schema
from monitor.simulator.xapi.plain_entities import change_settings, kind_of
from monitor.simulator.xapi.system import defs, license_status, office_hours, system_status


@dataclass(frozen=True, slots=True)
class Singleton:
    """Represent a single entity. ``read`` returns it as it is stored or computed."""

    name: str
    read: Callable[[Site], Entity]

    @property
    def shape(self) -> str:
        """Return the entity type."""
        return kind_of(self.name)

    @property
    def changeable(self) -> bool:
        """Return whether clients may set its properties."""
        return f"PATCH /{self.name}" in schema().operations

    def change(self, site: Site, body: Any) -> None:
        """Set properties. Raises ODataError or XapiError."""
        change_settings(site.directory, self.shape, self.read(site), body)


_OWN: Final[Mapping[str, Callable[[Site], Entity]]] = {
    "SystemStatus": system_status,
    "Defs": lambda _: defs(),
    "LicenseStatus": license_status,
    "DialCodeSettings": lambda site: site.directory.dial_codes,
    "OfficeHours": lambda site: site.plain.settings("OfficeHours", lambda: office_hours(site)),
}
"""Functions that read an entity which is not stored as clients write it."""


def _plain(name: str) -> Callable[[Site], Entity]:
    return lambda site: site.plain.settings(name)


SINGLETONS: Final[Mapping[str, Singleton]] = {
    name: Singleton(name, _OWN.get(name) or _plain(name))
    for operation, answer in schema().operations.items()
    if operation.startswith("GET /")
    and operation.count("/") == 1
    and "(" not in operation
    and " Pbx." in answer
    for name in (operation.removeprefix("GET /"),)
}
"""Single entities by name."""
