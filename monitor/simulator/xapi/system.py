"""Describe the PBX itself: status, licence, parameters, office hours. Each type has one entity."""

from __future__ import annotations

from typing import Final

from monitor.simulator.pbx_data.directory import ZONE
from monitor.simulator.pbx_data.templates import Entity, blank
from monitor.simulator.xapi import derived_entities
from monitor.simulator.xapi.context import Site, instant

_YEAR: Final = 365 * 86400
_ZONE: Final = {"id": "44", "iana": ZONE, "windows": "W. Europe Standard Time"}


def office_hours(site: Site) -> Entity:
    """Return the ``Pbx.OfficeHours``: always open, so that routing never depends on them."""
    zone = site.directory.time_zone
    told = _ZONE[site.switches.time_zone] if zone == ZONE else zone
    return blank("OfficeHours", TimeZoneId=told)


def defs() -> Entity:
    """Return the ``Pbx.Defs``."""
    return blank("Defs")


def system_status(site: Site) -> Entity:
    """Return the ``Pbx.SystemStatus``."""
    directory, now = site.directory, site.clock()
    return blank(
        "SystemStatus",
        CallsActive=len(site.calls.active_calls()),
        ExpirationDate=instant(now + _YEAR),
        ExtensionsRegistered=sum(user["IsRegistered"] for user in directory.users.values()),
        ExtensionsTotal=len(directory.users),
        FQDN=directory.fqdn,
        HasUnregisteredSystemExtensions=any(
            not row["IsRegistered"] for row in derived_entities.system_extensions(directory)
        ),
        LastBackupDateTime=instant(now - 86400),
        LastCheckForUpdates=instant(now - 3600),
        MaintenanceExpiresAt=instant(now + _YEAR),
        MaxSimCalls=directory.max_calls,
        OutboundRules=len(directory.outbound_rules),
        TrunksRegistered=sum(trunk["IsOnline"] for trunk in directory.trunks.values()),
        TrunksTotal=len(directory.trunks),
        UserExtensions=len(directory.users),
        Version=directory.version,
    )


def license_status(site: Site) -> Entity:
    """Return the ``Pbx.LicenseStatus``."""
    expires = instant(site.clock() + _YEAR)
    return blank(
        "LicenseStatus",
        ExpirationDate=expires,
        MaintenanceExpiresAt=expires,
        MaxSimCalls=site.directory.max_calls,
        Version=site.directory.version,
    )


def license_parameters(site: Site) -> Entity:
    """Return the ``Pbx.License``."""
    return blank("License", MaxSimCalls=site.directory.max_calls)


def system_parameters(site: Site) -> Entity:
    """Return the ``Pbx.SystemParameters``."""
    length = len(next(iter(site.directory.extensions()), "100"))
    return blank(
        "SystemParameters",
        ENL=length,
        ENLRange={"From": 10 ** (length - 1), "To": 10**length - 1},
        FQDN=site.directory.fqdn,
        License=license_parameters(site),
        PbxExternalHost=site.directory.fqdn,
        Version=site.directory.version,
    )


def health(site: Site) -> Entity:
    """Return the ``Pbx.SystemHealthStatus``. True means healthy."""
    trunks = site.directory.trunks.values()
    return blank("SystemHealthStatus", Trunks=all(trunk["IsOnline"] for trunk in trunks))
