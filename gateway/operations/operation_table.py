"""Define the documented commands in one table; routes, validation and documents use it. Pure.

The gateway answers a query from its replica. The monitor carries out a command that changes
something, or that reads what only the PBX's database has. Such a command has no query.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, TypeAlias, get_args

from gateway.errors import MissingParameter, UnknownCommand, UpgradeNeeded
from gateway.parameters import Arguments, Parameter, check, nearest, quoted
from gateway.queries import calls, contacts, directory, fleet, statistics
from gateway.queries.context import QueryContext
from gateway.scopes import Scope
from monitor.shared.redis.key_names import Space

AnswerSpace: TypeAlias = Space | Literal["fleet"]
"""A space whose position an answer has; ``fleet``: the summaries of all PBXs."""
Query: TypeAlias = Callable[[QueryContext], object]
"""A function of the replica. It returns the reply: a Struct, or anything that JSON can hold."""


class Run(Protocol):
    """Carry out another command in the name of the caller's key, if the key may."""

    async def __call__(self, command: str, /, **arguments: str) -> dict[str, Any]:
        """Return the reply. Raises the refusals of :mod:`gateway.errors`.

        The composition may catch a refusal, or let it go on to the client.
        """
        ...


Composition: TypeAlias = Callable[[Run, Arguments], Awaitable[object]]
"""A command made of commands; it returns the reply."""

TIME = Parameter(
    "time",
    "choice",
    "form of the answer's instants: with milliseconds, or in whole seconds without them; not "
    "given: as the key says",
    allowed=("milliseconds", "seconds"),
)
"""The parameter that every query takes beside its own."""
STREAM_ADDRESS = "stream"
RESERVED_ADDRESSES = (STREAM_ADDRESS, "events", "ticket")
"""Last parts of addresses that are not commands."""
_TAKEN_BY = {"events": "GET", "ticket": "POST"}


@dataclass(frozen=True, slots=True)
class Command:
    """Describe one command.

    ``one_of``: names of parameters; at least one of them must be given. Empty: no such rule.

    The ``query`` answers it at the gateway, or the ``composition`` does. Without both the monitor
    carries it out.

    ``space``: the space whose position an answer carries.
    """

    name: str
    scope: Scope
    summary: str
    parameters: tuple[Parameter, ...] = ()
    query: Query | None = None
    one_of: tuple[str, ...] = ()
    space: AnswerSpace = "live"
    methods: tuple[str, ...] = ("GET", "POST")
    composition: Composition | None = None

    @property
    def changes(self) -> bool:
        """Return whether the monitor carries it out, at the PBX."""
        return self.query is None and self.composition is None

    def check(self, given: Iterable[tuple[str, str]]) -> Arguments:
        """Return the arguments from a request's names and values.

        Raises subclasses of BadRequest.
        """
        arguments = check(self.parameters, given, self.name)
        if self.one_of and not any(arguments.optional(name) is not None for name in self.one_of):
            raise MissingParameter(
                f"{self.name}: at least one of {', '.join(self.one_of)} is needed."
            )
        return arguments


def command_named(name: str) -> Command:
    """Return the command of this name.

    Raises UnknownCommand, with the nearest name if there is one. Raises UpgradeNeeded for the
    address of the stream.
    """
    if name == STREAM_ADDRESS:
        raise UpgradeNeeded(
            "This address is for WebSocket.", {"Upgrade": "websocket", "Connection": "upgrade"}
        )
    command = COMMANDS.get(name)
    if command is None and name in _TAKEN_BY:
        raise UnknownCommand(
            f"{name} is not a command but an address of the stream, for {_TAKEN_BY[name]} requests."
        )
    if command is None:
        near = nearest(name, COMMANDS)
        raise UnknownCommand(
            f"There is no command {quoted(name)}." + (f" Did you mean {near}?" if near else "")
        )
    return command


def commands_for(scopes: Iterable[str]) -> tuple[str, ...]:
    """Return the names of the commands that a key with these scopes may use, in table order."""
    held = frozenset(scopes)
    return tuple(command.name for command in COMMANDS.values() if command.scope in held)


def _query(name: str, query: Query, summary: str, *parameters: Parameter) -> Command:
    methods = ("GET", "HEAD", "POST")
    return Command(name, "read", summary, (*parameters, TIME), query, methods=methods)


def _book(name: str, query: Query, summary: str, *parameters: Parameter) -> Command:
    methods = ("GET", "HEAD", "POST")
    taken = (*parameters, TIME)
    return Command(name, "contacts", summary, taken, query, space="book", methods=methods)


def _fleet(name: str, query: Query, summary: str) -> Command:
    methods = ("GET", "HEAD", "POST")
    return Command(name, "read", summary, (TIME,), query, space="fleet", methods=methods)


def _control(name: str, summary: str, *parameters: Parameter) -> Command:
    return Command(name, "control", summary, parameters)


def _admin(
    name: str, summary: str, *parameters: Parameter, one_of: tuple[str, ...] = ()
) -> Command:
    return Command(name, "admin", summary, parameters, one_of=one_of)


def _dn(name: str, summary: str, topic: str = "", *or_topics: str) -> Parameter:
    return Parameter(name, "dn", summary, required=True, topic=topic, or_topics=or_topics)


def _dns(name: str, summary: str, topic: str = "extensions") -> Parameter:
    return Parameter(name, "dns", summary, required=True, longest=20_000, topic=topic)


def _text(name: str, summary: str = "") -> Parameter:
    return Parameter(name, "text", summary)


def _choice(name: str, summary: str, *allowed: str, required: bool = False) -> Parameter:
    return Parameter(name, "choice", summary, required=required, allowed=allowed)


_EXTENSION = _dn("num", "the extension's number", "extensions")
_NEW_EXTENSION = _dn("num", "the new extension's number")
_QUEUE = _dn("num", "the queue's number", "queues")
_GROUP = _dn("num", "the ring group's number", "groups")
_LOG = _choice("log", "log in or out", "on", "off", required=True)
_CONTACT = Parameter("id", "whole", "the contact's id", required=True)

_EXTENSION_FIELDS = (
    _text("firstname", "first name"),
    _text("lastname", "last name"),
    _text("email", "e-mail address"),
    _text("mobile", "mobile number"),
    _text("authid", "SIP authentication id"),
    _text("authpass", "SIP authentication password"),
    _text("callerid", "outbound caller ID"),
    _choice("enabled", "the extension is enabled", "0", "1"),
    _choice("deliveraudio", "the PBX delivers the audio", "0", "1"),
    _choice("recordcalls", "0 none, 1 external only, 2 all", "0", "1", "2"),
    _text("sipid", "SIP id"),
    _choice("reinvite", "supports re-INVITE", "0", "1"),
    _choice("replaces", "supports the Replaces header", "0", "1"),
    _choice(
        "vmemail",
        "0 no notification, 1 text e-mail, 2 voicemail as attachment, 3 attachment and delete "
        "from the mailbox",
        "0",
        "1",
        "2",
        "3",
    ),
    _choice("vmenabled", "voicemail is enabled", "0", "1"),
    _text("vmpin", "voicemail PIN"),
    _choice("vmplaycallerid", "voicemail plays the caller ID", "0", "1"),
    _choice("vmplaydatetime", "0 no, 1 in 12-hour form, 2 in 24-hour form", "0", "1", "2"),
    _choice("internal", "0 all calls allowed, 1 internal calls only", "0", "1"),
    Parameter("noanswertimeout", "whole", "seconds until a call counts as not answered"),
)

_CONTACT_FIELDS = (
    _text("firstname", "first name"),
    _text("lastname", "last name"),
    _text("company", "company"),
    _text("crmcontactdata", "data of a CRM"),
    _text("tag", "tag"),
    _text("phone", "Mobile"),
    _text("data0", "Mobile2"),
    _text("data1", "Home"),
    _text("data2", "Home2"),
    _text("data3", "Business"),
    _text("data4", "Business2"),
    _text("data5", "Email"),
    _text("data6", "Other"),
    _text("data7", "Businessfax"),
    _text("data8", "Homefax"),
    _text("data9", "Pager"),
)

_ALL = (
    _query("pbx.calls.get", calls.calls_get, "the number of calls now passing through the PBX"),
    _query("pbx.ac.get", calls.ac_get, "all active connections, call by call"),
    _query(
        "pbx.callsinfo.get",
        calls.callsinfo_get,
        "all calls: state, times, owner, who is talking and who is ringing",
    ),
    _query("pbx.ended.get", calls.ended_get, "the calls that ended recently, with their outcome"),
    _query(
        "pbx.stats.get",
        statistics.pbx_stats,
        "the PBX's statistics of the day: calls by direction, the peak",
    ),
    _fleet("all.pbx.get", fleet.all_pbxs, "all PBXs of the key, in short"),
    _query("all.ext.get", directory.all_extensions, "all user extensions"),
    _query("all.registered.get", directory.all_registered, "all registered user extensions"),
    _query("all.group.get", directory.all_groups, "all ring groups"),
    _query("all.queue.get", directory.all_queues, "all call queues"),
    _query("all.ivr.get", directory.all_ivrs, "all IVRs (digital receptionists)"),
    _query("all.line.get", directory.all_lines, "all external lines (trunks)"),
    _query("all.extgroup.get", directory.all_extgroups, "all extension groups (departments)"),
    _query(
        "ext.info.get", directory.extension_info, "an extension's information fields", _EXTENSION
    ),
    _query(
        "ext.state.get",
        directory.extension_state,
        "an extension's registration, status and logins",
        _EXTENSION,
    ),
    _query(
        "ext.stats.get",
        statistics.extension_stats,
        "an extension's statistics of the day",
        _EXTENSION,
    ),
    _control(
        "ext.fwd.set",
        "set an extension's forwarding status",
        _EXTENSION,
        Parameter(
            "status", "text", "the forwarding status's English name", required=True, longest=64
        ),
        _text("message", "a message shown with the status"),
    ),
    _control(
        "ext.queueglobal.set", "log an extension in to or out of all queues", _EXTENSION, _LOG
    ),
    _control(
        "ext.queue.set",
        "log an extension in to or out of one queue",
        _EXTENSION,
        _dn("queue", "the queue", "queues"),
        _LOG,
    ),
    _admin(
        "ext.options.set",
        "set an extension's options",
        _EXTENSION,
        _choice("enabled", "the extension is enabled", "on", "off"),
        _choice("external", "it may call external numbers", "on", "off"),
        _choice("recording", "which calls are recorded", "off", "external", "all"),
        one_of=("enabled", "external", "recording"),
    ),
    _admin("ext.update", "set an extension's fields", _EXTENSION, *_EXTENSION_FIELDS),
    _admin("ext.new", "make a new extension", _NEW_EXTENSION, *_EXTENSION_FIELDS),
    _admin("ext.del", "delete an extension", _EXTENSION),
    _query("queue.members.get", directory.queue_members, "all agents of the queue", _QUEUE),
    _query("queue.managers.get", directory.queue_managers, "all managers of the queue", _QUEUE),
    _query("queue.free.get", directory.queue_free, "all free agents of the queue", _QUEUE),
    _query(
        "queue.talk.get",
        directory.queue_talk,
        "all agents of the queue that are in a conversation",
        _QUEUE,
    ),
    _query(
        "queue.isfree.get",
        directory.queue_isfree,
        "tell whether a free agent can take a call",
        _QUEUE,
    ),
    _query(
        "queue.stats.get",
        statistics.queue_stats,
        "the queue's statistics of the day: waits, service level",
        _QUEUE,
    ),
    _admin(
        "queue.agents.set",
        "set the queue's agents",
        _QUEUE,
        _dns("agents", "the agents' extensions"),
    ),
    _admin(
        "queue.managers.set",
        "set the queue's managers",
        _QUEUE,
        _dns("managers", "the managers' extensions"),
    ),
    _query("group.members.get", directory.group_members, "all members of the ring group", _GROUP),
    _query("group.free.get", directory.group_free, "all free members of the ring group", _GROUP),
    _admin(
        "group.members.set",
        "set the ring group's members",
        _GROUP,
        _dns("members", "the members' extensions"),
    ),
    _query(
        "extgroup.members.get",
        directory.extgroup_members,
        "the members of the extension group",
        Parameter("name", "text", "the extension group's name", required=True),
    ),
    _control(
        "makecall",
        "call one number and connect it to another",
        _dn(
            "first",
            "number of the first leg: an extension, queue or route point",
            "extensions",
            "queues",
        ),
        Parameter("second", "destination", "number of the second leg", required=True),
    ),
    _book(
        "contact.find",
        contacts.contact_find,
        "the ids of the contacts whose number has the same ending",
        Parameter("num", "phone", "the phone number", required=True),
        Parameter(
            "min_len",
            "whole",
            "not given or greater than num's length: only exact matches; equal to num's length "
            "or 0: numbers that end with num; "
            "less: the longest common ending of at least this many digits",
        ),
    ),
    _book("contact.get", contacts.contact_get, "a contact's fields", _CONTACT),
    _admin("contact.update", "set a contact's fields", _CONTACT, *_CONTACT_FIELDS),
    _admin("contact.new", "make a new contact", *_CONTACT_FIELDS),
    _admin("contact.del", "delete a contact", _CONTACT),
    Command(
        "query",
        "sql",
        "read from the PBX's database database_single",
        (
            Parameter("query", "sql", "the SQL", required=True, longest=60_000),
            Parameter(
                "count", "whole", "the maximum number of rows in the reply; not given or 0: 100"
            ),
        ),
        methods=("POST",),
    ),
)

COMMANDS: dict[str, Command] = {command.name: command for command in _ALL}
"""Every documented command by its name, in the order of the list. :func:`register` adds more."""

RESERVED = set(COMMANDS) | set(RESERVED_ADDRESSES)
"""Words that no key may equal, because an address would then have two meanings."""
DOCUMENTED = frozenset(COMMANDS)

_NAME = re.compile(r"[a-z0-9]+(\.[a-z0-9_]+)+")


def register(command: Command) -> None:
    """Add a site's own command, before anything is served.

    Raises ValueError, with a sentence, if the command does not fit.
    """
    if not _NAME.fullmatch(command.name):
        raise ValueError(
            f"{quoted(command.name)} is not a name for a command: use words joined by dots, as "
            f"site.my.get."
        )
    if command.name in RESERVED:
        raise ValueError(f"There is a command {command.name} already.")
    if (command.query is None) == (command.composition is None):
        raise ValueError(f"{command.name} needs either a query or a composition.")
    if command.scope not in get_args(Scope):
        raise ValueError(
            f"{command.name} has the scope {command.scope!r}; scopes are "
            f"{', '.join(get_args(Scope))}."
        )
    if command.query is not None and all(own.name != TIME.name for own in command.parameters):
        command = replace(command, parameters=(*command.parameters, TIME))
    COMMANDS[command.name] = command
    RESERVED.add(command.name)
