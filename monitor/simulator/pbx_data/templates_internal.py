"""Make entities with every structural property, as in a freshly installed 3CX v20. Pure.

Property names and types are those of the official OpenAPI file. The entity also keeps its
navigation properties (``Agents``, ``Members`` …), as rows that identify the other side.
:mod:`monitor.simulator.xapi.entity_types` turns these rows into what the PBX answers. Nested values
may be shared between entities: replace them, never change them in place.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

Entity: TypeAlias = dict[str, Any]

PROFILES: Final = ("Available", "Away", "Out of office", "Custom 1", "Custom 2")
"""Names of a user's forwarding profiles: the values of ``CurrentProfileName``."""

ROLES: Final = (
    "users",
    "receptionists",
    "group_admins",
    "managers",
    "group_owners",
    "system_admins",
    "system_owners",
)
"""Roles from the least to the most powerful."""

_NOWHERE: Final[Entity] = {
    "External": "",
    "Name": "",
    "Number": "",
    "Tags": [],
    "To": "None",
    "Type": "None",
}
_ROUTE: Final[Entity] = {"IsPromptEnabled": False, "Prompt": "", "Route": _NOWHERE}
_ALWAYS: Final[Entity] = {"IgnoreHolidays": False, "Periods": [], "Type": "AllHours"}
_NO_BREAK: Final[Entity] = {"IgnoreHolidays": False, "Periods": [], "Type": "Never"}
_CLICK_TO_CALL: Final[Entity] = {
    "TranscriptionMode": "Inherit",
    "CallUsEnableChat": True,
    "CallUsEnablePhone": True,
    "CallUsEnableVideo": True,
    "CallUsRequirement": "Both",
    "ClickToCallId": "",
}
_PROMPT_SET: Final = "8210986B-9412-497f-AD77-3A554F4A9BDB"
_LANGUAGE: Final = "EN"


def display_name(first: str, last: str) -> str:
    """Return the name that 3CX shows for a user: ``Last, First``, or the only name given."""
    return f"{last}, {first}" if first and last else first or last


def destination(
    to: str, number: str = "", name: str = "", kind: str = "None", external: str = ""
) -> Entity:
    """Return the place to which a call is sent.

    ``to`` is a DestinationType, ``kind`` a PeerType.
    """
    return {
        "External": external,
        "Name": name,
        "Number": number,
        "Tags": [],
        "To": to,
        "Type": kind,
    }


def user(number: str, first: str = "", last: str = "") -> Entity:
    """Return an extension with its five forwarding profiles.

    It has no registered device, is logged in at the queues and has the profile Available.
    """
    return {
        **_CLICK_TO_CALL,
        "Id": 0,
        "Number": number,
        "FirstName": first,
        "LastName": last,
        "DisplayName": display_name(first, last),
        "EmailAddress": "",
        "Mobile": "",
        "AccessPassword": "",
        "AgentSettings": None,
        "AIAgent": False,
        "AllowLanOnly": True,
        "AllowOwnRecordings": True,
        "AuthID": "",
        "AuthPassword": "",
        "Blfs": "<PhoneDevice><BLFS/></PhoneDevice>",
        "BlockTunnel": False,
        "BreakTime": _NO_BREAK,
        "CallScreening": False,
        "ContactImage": "",
        "CurrentProfileName": "Available",
        "DatevEnabled": False,
        "DeskphonePassword": "",
        "EmergencyAdditionalInfo": "",
        "EmergencyLocationId": "",
        "Enable2FA": False,
        "Enabled": True,
        "EnableHotdesking": False,
        "ForbidRecording": False,
        "GoogleCalendarEnabled": False,
        "GoogleContactsEnabled": False,
        "GoogleSignInEnabled": False,
        "HideInPhonebook": False,
        "HotdeskingAssignment": "",
        "Hours": _ALWAYS,
        "Internal": False,
        "IsRegistered": False,
        "Language": _LANGUAGE,
        "MS365CalendarEnabled": False,
        "MS365ContactsEnabled": False,
        "MS365SignInEnabled": False,
        "MS365TeamsEnabled": False,
        "MyPhoneAllowDeleteRecordings": False,
        "MyPhoneHideForwardings": False,
        "MyPhonePush": True,
        "MyPhoneShowRecordings": True,
        "OfficeHoursProps": ["GlobalSchedule"],
        "OutboundCallerID": "",
        "PbxDeliversAudio": False,
        "PinProtected": False,
        "PinProtectTimeout": 0,
        "PrimaryGroupId": None,
        "PromptSet": _PROMPT_SET,
        "QueueStatus": "LoggedIn",
        "RecordCalls": False,
        "RecordEmailNotify": False,
        "RecordExternalCallsOnly": False,
        "Require2FA": False,
        "SendEmailMissedCalls": True,
        "SIPID": "",
        "SRTPMode": "SRTPDisabled",
        "Tags": [],
        "VMDisablePinAuth": False,
        "VMEmailOptions": "Notification",
        "VMEnabled": True,
        "VMPIN": "",
        "VMPlayCallerID": True,
        "VMPlayMsgDateTime": "None",
        "WebMeetingApproveParticipants": False,
        "WebMeetingFriendlyName": "",
        "Groups": [],
        "ForwardingExceptions": [],
        "ForwardingProfiles": _profiles(number),
        "Greetings": [],
        "Phones": [],
    }


def queue(number: str, name: str = "") -> Entity:
    """Return a call queue without agents. Its strategy is to ring all agents at once."""
    return {
        **_CLICK_TO_CALL,
        **_off_hours(),
        "Id": 0,
        "Number": number,
        "Name": name,
        "AgentAvailabilityMode": False,
        "AnnounceEstimatedWaitTime": False,
        "AnnounceEstimatedWaitTimeInterval": 60,
        "AnnouncementInterval": 120,
        "AnnounceQueuePosition": False,
        "AutoLogoutMissedCalls": 0,
        "CallbackEnableTime": 30,
        "CallbackOfferOnly": False,
        "CallbackOfferPrompt": "",
        "CallbackPrefix": "",
        "ComfortPrompts": [],
        "ComfortPromptsEnabled": False,
        "ComfortPromptsInterval": 60,
        "DestinationNoAnswerPrompt": "",
        "EnableIntro": False,
        "ForwardNoAnswer": _NOWHERE,
        "GreetingFile": "",
        "IntroFile": "",
        "IsRegistered": True,
        "MasterTimeout": 600,
        "MaxCallersInQueue": 50,
        "MaxWaitStrategyEnabled": False,
        "MaxWaitTimeSkillGroupValues": [],
        "NotifyCodes": [],
        "OnHoldFile": "onhold.wav",
        "PlayFullPrompt": False,
        "PollingStrategy": "RingAll",
        "PriorityQueue": False,
        "PromptSet": _PROMPT_SET,
        "Recording": "Disabled",
        "ResetQueueStatisticsSchedule": {
            "Day": "Monday",
            "Frequency": "Disabled",
            "Time": "00:00:00.0000000",
        },
        "ResetStatisticsScheduleEnabled": False,
        "RingTimeout": 20,
        "SkillBasedRingAllCumulativePollingEnabled": False,
        "SLATime": 60,
        "StopBackgroundWhenPrompt": False,
        "TypeOfChatOwnershipType": "TakeManually",
        "VMEmailList": "",
        "VMEmailOptions": "None",
        "WrapUpTime": 0,
        "Groups": [],
        "Agents": [],
        "Managers": [],
    }


def ring_group(number: str, name: str = "") -> Entity:
    """Return a ring group without members. Its strategy is to ring all members at once."""
    return {
        **_CLICK_TO_CALL,
        **_off_hours(),
        "Id": 0,
        "Number": number,
        "Name": name,
        "ForwardNoAnswer": _NOWHERE,
        "GreetingFile": "",
        "IsRegistered": True,
        "MulticastAddress": "",
        "MulticastCodec": "",
        "MulticastPacketTime": 20,
        "MulticastPort": 0,
        "RingStrategy": "RingAll",
        "RingTime": 20,
        "VMEmailList": "",
        "VMEmailOptions": "None",
        "Groups": [],
        "Members": [],
    }


def receptionist(number: str, name: str = "") -> Entity:
    """Return a digital receptionist (IVR) whose keys lead nowhere yet."""
    return {
        **_off_hours(),
        "Id": 0,
        "Number": number,
        "Name": name,
        "TranscriptionMode": "Inherit",
        "ForwardSmsTo": "",
        "InvalidKeyForwardDN": "",
        "IsRegistered": True,
        "IVRType": "Default",
        "PromptFilename": "prompt1.wav",
        "PromptSet": _PROMPT_SET,
        "Timeout": 10,
        "TimeoutForwardDN": "",
        "TimeoutForwardPeerType": "None",
        "TimeoutForwardType": "EndCall",
        "TransferEnable": True,
        "UseMSExchange": False,
        "Groups": [],
        "Forwards": [],
    }


def _profiles(number: str) -> list[Entity]:
    voicemail = destination("VoiceMail", number, kind="Extension")
    available = {
        "BusyAllCalls": True,
        "BusyExternal": voicemail,
        "BusyInternal": voicemail,
        "NoAnswerAllCalls": True,
        "NoAnswerExternal": voicemail,
        "NoAnswerInternal": voicemail,
        "NotRegisteredAllCalls": True,
        "NotRegisteredExternal": voicemail,
        "NotRegisteredInternal": voicemail,
    }
    away = {
        "AllHoursExternal": True,
        "AllHoursInternal": True,
        "External": voicemail,
        "Internal": voicemail,
    }
    return [
        {
            "Id": position,
            "Name": name,
            "CustomName": "",
            "CustomMessage": "",
            "NoAnswerTimeout": 20,
            "AcceptMultipleCalls": True,
            "AvailableRoute": available,
            "AwayRoute": away,
            "BlockPushCalls": False,
            "DisableRingGroupCalls": False,
            "OfficeHoursAutoQueueLogOut": False,
            "RingMyMobile": False,
        }
        for position, name in enumerate(PROFILES, start=1)
    ]


def _off_hours() -> Entity:
    return {"BreakRoute": _ROUTE, "HolidaysRoute": _ROUTE, "OutOfOfficeRoute": _ROUTE}
