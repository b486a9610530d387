"""Describe the PBX itself: status, licence, parameters, office hours. Each type has one entity."""

from __future__ import annotations

from typing import Final

from monitor.simulator.pbx_data.templates_internal import Entity, user
from monitor.simulator.xapi import derived_entities
from monitor.simulator.xapi.context import Site, instant

_YEAR: Final = 365 * 86400
_PRODUCT: Final = "3CXENT"
_KEY: Final = "SIMU-LATE-D000-0000"

_ZONES: Final = (
    ("1", "UTC", "UTC", "(UTC) Coordinated Universal Time"),
    (
        "44",
        "Europe/Berlin",
        "W. Europe Standard Time",
        "(UTC+01:00) Amsterdam, Berlin, Rome, Vienna",
    ),
    ("64", "Europe/Moscow", "Russian Standard Time", "(UTC+03:00) Moscow, St. Petersburg"),
)
_ZONE = _ZONES[1]


def office_hours(site: Site) -> Entity:
    """Return the ``Pbx.OfficeHours``: always open, so that routing never depends on them."""
    told = {"id": _ZONE[0], "iana": _ZONE[1], "windows": _ZONE[2]}[site.switches.time_zone]
    return {
        "BreakTime": None,
        "Hours": None,
        "OfficeHolidays": [],
        "SystemLanguage": "EN",
        "TimeZoneId": told,
    }


def defs() -> Entity:
    """Return the ``Pbx.Defs``."""
    return {
        "Id": 0,
        "Codecs": [
            {"Id": 1, "Name": "G.711 A-law", "RfcName": "PCMA"},
            {"Id": 2, "Name": "G.711 U-law", "RfcName": "PCMU"},
        ],
        "TimeZones": [
            {"Id": i, "IanaName": iana, "WindowsName": win, "Name": name}
            for i, iana, win, name in _ZONES
        ],
    }


def system_status(site: Site) -> Entity:
    """Return the ``Pbx.SystemStatus``."""
    directory, now = site.directory, site.clock()
    registered = sum(1 for user in directory.users.values() if user["IsRegistered"])
    return {
        "Activated": True,
        "AutoUpdateEnabled": True,
        "AvailableLocalIps": "192.0.2.10",
        "BackupScheduled": True,
        "CallsActive": len(site.calls.active_calls()),
        "ChatUsedSpace": 0,
        "CurrentLocalIp": "192.0.2.10",
        "DBMaintenanceInProgress": False,
        "DiskUsage": 21,
        "ExpirationDate": instant(now + _YEAR),
        "ExtensionsRegistered": registered,
        "ExtensionsTotal": len(directory.users),
        "FQDN": directory.fqdn,
        "FreeDiskSpace": 60_000_000_000,
        "HasNotRunningServices": False,
        "HasUnregisteredSystemExtensions": any(
            not row["IsRegistered"] for row in derived_entities.system_extensions(directory)
        ),
        "Id": 0,
        "Ip": "198.51.100.10",
        "IpV4": "198.51.100.10",
        "IpV6": "",
        "IsAuditLogEnabled": False,
        "IsChatLogEnabled": False,
        "IsRecordingArchiveEnabled": False,
        "LastBackupDateTime": instant(now - 86400),
        "LastCheckForUpdates": instant(now - 3600),
        "LastSuccessfulUpdate": None,
        "LicenseActive": True,
        "LicenseKey": _KEY,
        "LocalIpValid": True,
        "LogUsedSpace": 0,
        "MaintenanceExpiresAt": instant(now + _YEAR),
        "MaxSimCalls": directory.max_calls,
        "MaxUserExtensions": 10_000,
        "OS": "Linux",
        "OutboundRules": len(directory.outbound_rules),
        "ProductCode": _PRODUCT,
        "RecordingQuota": 0,
        "RecordingQuotaReached": False,
        "RecordingStopped": False,
        "RecordingUsedSpace": 0,
        "RemoteConfigurationRequired": False,
        "RemoteStorageEnabled": False,
        "RemoteStorageStatus": "NotConfigured",
        "ResellerName": "",
        "Support": True,
        "TotalDiskSpace": 80_000_000_000,
        "TrunksRegistered": sum(1 for trunk in directory.trunks.values() if trunk["IsOnline"]),
        "TrunksTotal": len(directory.trunks),
        "UserExtensions": len(directory.users),
        "Version": directory.version,
        "VoicemailQuotaReached": False,
        "VoicemailStopped": False,
    }


def license_status(site: Site) -> Entity:
    """Return the ``Pbx.LicenseStatus``."""
    directory, now = site.directory, site.clock()
    return {
        "Activated": True,
        "ActiveModules": [],
        "AdminEMail": "admin@example.com",
        "CompanyName": "Example",
        "ContactName": "",
        "CountryCode": "",
        "CountryName": "",
        "EMail": "admin@example.com",
        "ExpirationDate": instant(now + _YEAR),
        "LicenseActive": True,
        "LicenseKey": _KEY,
        "MaintenanceExpiresAt": instant(now + _YEAR),
        "MaxSimCalls": directory.max_calls,
        "ProductCode": _PRODUCT,
        "ResellerName": "",
        "SimMeetingParticipants": 250,
        "Support": True,
        "Telephone": "",
        "Version": directory.version,
    }


def license_parameters(site: Site) -> Entity:
    """Return the ``Pbx.License``."""
    return {
        "CountryCode": "",
        "IsBrandingEnabled": True,
        "IsCfdEnabled": True,
        "IsEnterprise": True,
        "IsMaintainceExpired": False,
        "IsProfessional": False,
        "MaxSimCalls": site.directory.max_calls,
        "ProductCode": _PRODUCT,
    }


def system_parameters(site: Site) -> Entity:
    """Return the ``Pbx.SystemParameters``."""
    first = next(iter(site.directory.extensions()), "100")
    return {
        "AIVersion": "",
        "Custom1Name": "",
        "Custom2Name": "",
        "EmRuleCreationAllowed": True,
        "ENL": len(first),
        "ENLRange": {"From": 10 ** (len(first) - 1), "To": 10 ** len(first) - 1},
        "FirstExternalPort": 9000,
        "FQDN": site.directory.fqdn,
        "GlobalACPRMSET": user("")["PromptSet"],
        "GlobalLanguage": "EN",
        "HttpPort": 5000,
        "HttpsPort": 5001,
        "IpV6": "",
        "Is3CXFQDN": False,
        "IsChatLogEnabled": False,
        "IsHosted": False,
        "IsHosted3CX": False,
        "IsMulticompanyMode": False,
        "IsRemoteBackup": False,
        "IsStaticIp": True,
        "IsTranscriptionEnabled": False,
        "License": license_parameters(site),
        "MaxDIDPerTrunk": 500,
        "PbxExternalHost": site.directory.fqdn,
        "ProcessorCount": 2,
        "RemoteStorageStatus": "NotConfigured",
        "RpsEnabled": False,
        "SipPort": 5060,
        "SipsPort": 5061,
        "StaticIp": "198.51.100.10",
        "StunIp": "",
        "TunnnelPort": 5090,
        "Version": site.directory.version,
        "WebrtcLastPort": 10999,
    }


def health(site: Site) -> Entity:
    """Return the ``Pbx.SystemHealthStatus``. True means healthy."""
    return {
        "CustomTemplatesCount": 0,
        "Firewall": True,
        "Id": 0,
        "Phones": True,
        "Trunks": all(trunk["IsOnline"] for trunk in site.directory.trunks.values()),
        "UnsupportedFirmwaresCount": 0,
    }
