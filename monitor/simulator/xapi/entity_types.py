"""Describe the served entity types: properties, navigation and secrets. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from monitor.simulator.pbx_data import templates_internal as templates
from monitor.simulator.pbx_data import templates_trunks_contacts
from monitor.simulator.pbx_data.directory import Directory
from monitor.simulator.pbx_data.templates_internal import Entity
from monitor.simulator.xapi import derived_entities

Related: TypeAlias = Callable[[Directory, Entity], Any]


@dataclass(frozen=True, slots=True)
class Navigation:
    """Represent a property that leads to other entities.

    ``related`` returns a list of them; if not ``many``, one entity or None.
    """

    shape: str
    related: Related
    many: bool = True


@dataclass(frozen=True, slots=True)
class Shape:
    """Represent an entity type.

    ``secrets`` are answered as null. ``computed`` properties are made when they are read.
    """

    name: str
    fields: tuple[str, ...]
    navigation: Mapping[str, Navigation] = field(default_factory=dict)
    searched: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    computed: Mapping[str, Related] = field(default_factory=dict)

    @property
    def known(self) -> frozenset[str]:
        """Return the names of all properties."""
        return frozenset((*self.fields, *self.navigation))


def _stored(name: str) -> Related:
    return lambda _, entity: entity[name]


def _shape(
    name: str, template: Entity, navigation: Mapping[str, Navigation] | None = None, **more: Any
) -> Shape:
    related = dict(navigation or {})
    return Shape(name, tuple(key for key in template if key not in related), related, **more)


def _fields(
    name: str, words: str, navigation: Mapping[str, Navigation] | None = None, **more: Any
) -> Shape:
    return Shape(name, tuple(words.split()), dict(navigation or {}), **more)


_GROUPS: Final = Navigation("UserGroup", derived_entities.memberships)
_PHONEBOOK: Final = (
    "FirstName",
    "LastName",
    "CompanyName",
    "Email",
    "Tag",
    *templates_trunks_contacts.CONTACT_PHONES,
)
_SYSTEM_STATUS: Final = (
    "Activated AutoUpdateEnabled AvailableLocalIps BackupScheduled CallsActive ChatUsedSpace "
    "CurrentLocalIp "
    "DBMaintenanceInProgress DiskUsage ExpirationDate ExtensionsRegistered ExtensionsTotal FQDN "
    "FreeDiskSpace "
    "HasNotRunningServices HasUnregisteredSystemExtensions Id Ip IpV4 IpV6 IsAuditLogEnabled "
    "IsChatLogEnabled "
    "IsRecordingArchiveEnabled LastBackupDateTime LastCheckForUpdates LastSuccessfulUpdate "
    "LicenseActive LicenseKey "
    "LocalIpValid LogUsedSpace MaintenanceExpiresAt MaxSimCalls MaxUserExtensions OS "
    "OutboundRules ProductCode "
    "RecordingQuota RecordingQuotaReached RecordingStopped RecordingUsedSpace "
    "RemoteConfigurationRequired "
    "RemoteStorageEnabled RemoteStorageStatus ResellerName Support TotalDiskSpace "
    "TrunksRegistered TrunksTotal "
    "UserExtensions Version VoicemailQuotaReached VoicemailStopped"
)
_LICENSE_STATUS: Final = (
    "Activated ActiveModules AdminEMail CompanyName ContactName CountryCode CountryName EMail "
    "ExpirationDate "
    "LicenseActive LicenseKey MaintenanceExpiresAt MaxSimCalls ProductCode ResellerName "
    "SimMeetingParticipants Support "
    "Telephone Version"
)
_LICENSE: Final = (
    "CountryCode IsBrandingEnabled IsCfdEnabled IsEnterprise IsMaintainceExpired "
    "IsProfessional MaxSimCalls ProductCode"
)
_SYSTEM_PARAMETERS: Final = (
    "AIVersion Custom1Name Custom2Name EmRuleCreationAllowed ENL ENLRange FirstExternalPort FQDN "
    "GlobalACPRMSET "
    "GlobalLanguage HttpPort HttpsPort IpV6 Is3CXFQDN IsChatLogEnabled IsHosted IsHosted3CX "
    "IsMulticompanyMode "
    "IsRemoteBackup IsStaticIp IsTranscriptionEnabled License MaxDIDPerTrunk PbxExternalHost "
    "ProcessorCount "
    "RemoteStorageStatus RpsEnabled SipPort SipsPort StaticIp StunIp TunnnelPort Version "
    "WebrtcLastPort"
)
_DIAL_CODES: Final = (
    "DialCodeBillingCode DialCodeHideCallerID DialCodeHotdesking DialCodeHotelAccess "
    "DialCodeIntercom "
    "DialCodeLoggedInQueue DialCodeLoggedOutQueue DialCodeOutOffice DialCodePark DialCodePickup "
    "DialCodeProfileStatus "
    "DialCodeUnpark DialCodeVMail"
)

SHAPES: Final[Mapping[str, Shape]] = {
    shape.name: shape
    for shape in (
        _shape(
            "User",
            templates.user(""),
            {
                "Groups": _GROUPS,
                "ForwardingExceptions": Navigation(
                    "ExtensionRule", _stored("ForwardingExceptions")
                ),
                "ForwardingProfiles": Navigation(
                    "ForwardingProfile", _stored("ForwardingProfiles")
                ),
                "Greetings": Navigation("Greeting", _stored("Greetings")),
                "Phones": Navigation("Phone", _stored("Phones")),
            },
            searched=("Number", "FirstName", "LastName", "EmailAddress", "Mobile"),
            secrets=("AccessPassword", "AuthPassword", "DeskphonePassword", "VMPIN"),
        ),
        _shape(
            "Queue",
            templates.queue(""),
            {
                "Groups": _GROUPS,
                "Agents": Navigation("QueueAgent", derived_entities.agents),
                "Managers": Navigation(
                    "QueueManager", lambda d, entity: derived_entities.people(d, entity["Managers"])
                ),
            },
            searched=("Number", "Name"),
        ),
        _shape(
            "RingGroup",
            templates.ring_group(""),
            {
                "Groups": _GROUPS,
                "Members": Navigation(
                    "RingGroupMember",
                    lambda d, entity: derived_entities.people(d, entity["Members"]),
                ),
            },
            searched=("Number", "Name"),
        ),
        _shape(
            "Receptionist",
            templates.receptionist(""),
            {"Groups": _GROUPS, "Forwards": Navigation("ReceptionistForward", _stored("Forwards"))},
            searched=("Number", "Name"),
        ),
        _shape(
            "Trunk",
            templates_trunks_contacts.trunk(""),
            {
                "Groups": _GROUPS,
                "EmergencyGeoLocations": Navigation(
                    "EmergencyGeoTrunkLocation", _stored("EmergencyGeoLocations")
                ),
                "ReceiveExtensions": Navigation("Peer", _stored("ReceiveExtensions")),
                "RoutingRules": Navigation(
                    "InboundRule", lambda d, entity: d.rules(entity["Number"])
                ),
            },
            searched=("Number", "ExternalNumber"),
            secrets=("AuthPassword",),
        ),
        _shape(
            "Group",
            {**templates_trunks_contacts.group(""), "HasMembers": False},
            {
                "Groups": Navigation("UserGroup", _stored("Groups")),
                "Members": Navigation(
                    "UserGroup", lambda d, entity: derived_entities.members(d, entity["Id"])
                ),
                "Rights": Navigation("Rights", _stored("Rights")),
                "OfficeHolidays": Navigation("Holiday", _stored("OfficeHolidays")),
            },
            searched=("Number", "Name"),
            computed={
                "HasMembers": lambda d, entity: derived_entities.has_members(d, entity["Id"])
            },
        ),
        _shape("Contact", templates_trunks_contacts.contact(), searched=_PHONEBOOK),
        _shape(
            "InboundRule",
            templates_trunks_contacts.inbound_rule("", ""),
            {
                "TrunkDN": Navigation(
                    "Peer",
                    lambda d, entity: next(
                        iter(derived_entities.peers(d, [entity["TrunkDN"]["Number"]])), None
                    ),
                    many=False,
                )
            },
            searched=("RuleName", "Data"),
        ),
        _fields(
            "DidNumber",
            "Number TemplateFileName TrunkId",
            {"RoutingRule": Navigation("InboundRule", derived_entities.rule_of_did, many=False)},
            searched=("Number",),
        ),
        _shape(
            "OutboundRule", templates_trunks_contacts.outbound_rule(), searched=("Name", "Prefix")
        ),
        _fields(
            "SipDevice",
            "Id PhoneWebPassword ProvLink Registrar",
            {
                "DN": Navigation(
                    "Peer",
                    lambda d, entity: next(iter(derived_entities.peers(d, [entity["DN"]])), None),
                    many=False,
                )
            },
            secrets=("PhoneWebPassword",),
        ),
        _shape(
            "Fax",
            templates_trunks_contacts.fax(""),
            {"Groups": _GROUPS},
            searched=("Number",),
            secrets=("AuthPassword",),
        ),
        _shape(
            "Parking",
            templates_trunks_contacts.parking(""),
            {"Groups": _GROUPS},
            searched=("Number",),
        ),
        _shape(
            "ServicePrincipal",
            templates_trunks_contacts.service_principal(""),
            {
                "Groups": _GROUPS,
                "Peers": Navigation(
                    "Peer",
                    lambda d, entity: derived_entities.peers(
                        d, [row["Number"] for row in entity["Peers"]]
                    ),
                ),
            },
            searched=("Number",),
        ),
        _fields(
            "Peer",
            "Hidden Id Name Number Tags Type",
            {
                "MemberOf": Navigation(
                    "PeerGroup", lambda d, entity: derived_entities.peer_groups(d, entity["Number"])
                )
            },
            searched=("Number", "Name"),
        ),
        _fields("PeerGroup", "GroupID IsPrimary Name Number RoleName"),
        _fields(
            "UserGroup",
            "CanDelete GroupId Id MemberName Name Number Tags TranscriptionMode Type",
            {
                "Rights": Navigation("Rights", _stored("Rights"), many=False),
                "GroupRights": Navigation("Rights", _stored("GroupRights"), many=False),
            },
            searched=("Number", "MemberName", "Name"),
        ),
        _shape("Rights", templates_trunks_contacts.rights("")),
        _fields("QueueAgent", "Id Name Number SkillGroup Tags", searched=("Number", "Name")),
        _fields("QueueManager", "Id Name Number Tags", searched=("Number", "Name")),
        _fields("RingGroupMember", "Id Name Number Tags", searched=("Number", "Name")),
        _fields("ReceptionistForward", "CustomData ForwardDN ForwardType Id Input PeerType"),
        _shape("ForwardingProfile", templates.user("")["ForwardingProfiles"][0]),
        _fields("Greeting", "DisplayName Filename Type"),
        _fields("ExtensionRule", "Id"),
        _fields("Phone", "Id MacAddress Name"),
        _fields("EmergencyGeoTrunkLocation", "Id"),
        _fields("Holiday", "Id Name"),
        _fields(
            "ActiveCall",
            "Callee Caller EstablishedAt Id LastChangeStatus ServerNow Status",
            searched=("Caller", "Callee"),
        ),
        _fields("SystemStatus", _SYSTEM_STATUS),
        _fields("LicenseStatus", _LICENSE_STATUS),
        _fields("SystemParameters", _SYSTEM_PARAMETERS),
        _fields("License", _LICENSE),
        _fields(
            "SystemHealthStatus",
            "CustomTemplatesCount Firewall Id Phones Trunks UnsupportedFirmwaresCount",
        ),
        _fields("SystemExtensionStatus", "IsRegistered Name Number Type"),
        _fields("TimeZone", "IanaName Id Name WindowsName"),
        _fields("Codec", "Id Name RfcName"),
        _fields(
            "Defs",
            "Id",
            {
                "Codecs": Navigation("Codec", _stored("Codecs")),
                "TimeZones": Navigation("TimeZone", _stored("TimeZones")),
            },
        ),
        _fields("DialCodeSettings", _DIAL_CODES),
        _fields(
            "OfficeHours",
            "BreakTime Hours SystemLanguage TimeZoneId",
            {"OfficeHolidays": Navigation("Holiday", _stored("OfficeHolidays"))},
        ),
    )
}
