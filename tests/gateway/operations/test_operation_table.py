"""Test the table against the documented list of commands, parameters and scopes."""

from __future__ import annotations

import pytest

from gateway.errors import BadRequest, MissingParameter, UnknownCommand, UpgradeNeeded
from gateway.operations.operation_table import COMMANDS, RESERVED, TIME, command_named, commands_for

EXT_FIELDS = (
    "firstname lastname email mobile authid authpass callerid enabled deliveraudio recordcalls "
    "sipid reinvite replaces "
    "vmemail vmenabled vmpin vmplaycallerid vmplaydatetime internal noanswertimeout"
)
CONTACT_FIELDS = "firstname lastname company crmcontactdata tag phone " + " ".join(
    f"data{n}" for n in range(10)
)

DOCUMENTED: dict[str, tuple[str, str, str]] = {
    "pbx.calls.get": ("read", "", ""),
    "pbx.ac.get": ("read", "", ""),
    "pbx.callsinfo.get": ("read", "", ""),
    "pbx.ended.get": ("read", "", ""),
    "pbx.stats.get": ("read", "", ""),
    "all.pbx.get": ("read", "", ""),
    "all.ext.get": ("read", "", ""),
    "all.registered.get": ("read", "", ""),
    "all.group.get": ("read", "", ""),
    "all.queue.get": ("read", "", ""),
    "all.ivr.get": ("read", "", ""),
    "all.line.get": ("read", "", ""),
    "all.extgroup.get": ("read", "", ""),
    "ext.info.get": ("read", "num", ""),
    "ext.state.get": ("read", "num", ""),
    "ext.stats.get": ("read", "num", ""),
    "ext.fwd.set": ("control", "num status", "message"),
    "ext.queueglobal.set": ("control", "num log", ""),
    "ext.queue.set": ("control", "num queue log", ""),
    "ext.options.set": ("admin", "num", "enabled external recording"),
    "ext.update": ("admin", "num", EXT_FIELDS),
    "ext.new": ("admin", "num", EXT_FIELDS),
    "ext.del": ("admin", "num", ""),
    "queue.members.get": ("read", "num", ""),
    "queue.managers.get": ("read", "num", ""),
    "queue.free.get": ("read", "num", ""),
    "queue.talk.get": ("read", "num", ""),
    "queue.isfree.get": ("read", "num", ""),
    "queue.stats.get": ("read", "num", ""),
    "queue.agents.set": ("admin", "num agents", ""),
    "queue.managers.set": ("admin", "num managers", ""),
    "group.members.get": ("read", "num", ""),
    "group.free.get": ("read", "num", ""),
    "group.members.set": ("admin", "num members", ""),
    "extgroup.members.get": ("read", "name", ""),
    "makecall": ("control", "first second", ""),
    "contact.find": ("contacts", "num", "min_len"),
    "contact.get": ("contacts", "id", ""),
    "contact.update": ("admin", "id", CONTACT_FIELDS),
    "contact.new": ("admin", "", CONTACT_FIELDS),
    "contact.del": ("admin", "id", ""),
    "query": ("sql", "query", "count"),
}

ALLOWED = {
    "ext.queueglobal.set": {"log": "on off"},
    "ext.queue.set": {"log": "on off"},
    "ext.options.set": {"enabled": "on off", "external": "on off", "recording": "off external all"},
    "ext.update": {
        "enabled": "0 1",
        "deliveraudio": "0 1",
        "recordcalls": "0 1 2",
        "reinvite": "0 1",
        "replaces": "0 1",
        "vmemail": "0 1 2 3",
        "vmenabled": "0 1",
        "vmplaycallerid": "0 1",
        "vmplaydatetime": "0 1 2",
        "internal": "0 1",
    },
}


def test_the_table_holds_the_documented_commands_and_no_others() -> None:
    assert list(COMMANDS) == list(DOCUMENTED)


@pytest.mark.parametrize("name", DOCUMENTED)
def test_each_command_has_its_documented_scope_and_parameters(name: str) -> None:
    command = COMMANDS[name]
    own = [parameter for parameter in command.parameters if parameter is not TIME]
    required = " ".join(parameter.name for parameter in own if parameter.required)
    optional = " ".join(parameter.name for parameter in own if not parameter.required)
    assert (command.query is not None) == (command.parameters[-1:] == (TIME,))
    assert (command.scope, required, optional) == DOCUMENTED[name]
    allowed = {
        parameter.name: " ".join(parameter.allowed) for parameter in own if parameter.allowed
    }
    assert allowed == ALLOWED.get("ext.update" if name == "ext.new" else name, {})
    assert command.summary
    assert (command.query is not None) == (command.scope in ("read", "contacts"))


def test_what_changes_something_never_answers_a_head() -> None:
    for command in COMMANDS.values():
        assert ("HEAD" in command.methods) == (command.query is not None)
        assert "POST" in command.methods


def test_a_command_is_found_by_its_exact_name() -> None:
    assert command_named("makecall").scope == "control"
    with pytest.raises(UnknownCommand, match=r"'make call'.*Did you mean makecall\?"):
        command_named("make call")
    with pytest.raises(UnknownCommand, match=r"^There is no command '%%%'\.$"):
        command_named("%%%")
    with pytest.raises(UpgradeNeeded):
        command_named("stream")
    assert {"stream", "events", "ticket", "makecall"} <= RESERVED


def test_a_key_may_use_the_commands_of_its_scopes() -> None:
    assert commands_for([]) == ()
    assert commands_for(["sql"]) == ("query",)
    assert commands_for(["read", "contacts", "control", "admin", "sql"]) == tuple(COMMANDS)


def test_options_need_at_least_one() -> None:
    options = COMMANDS["ext.options.set"]
    with pytest.raises(MissingParameter):
        options.check([("num", "100")])
    assert options.check([("external", "on"), ("num", "100")]).values == (
        ("num", "100"),
        ("external", "on"),
    )


@pytest.mark.parametrize("name", DOCUMENTED)
def test_every_command_takes_what_its_parameters_say(name: str) -> None:
    samples = {
        "dn": "100",
        "dns": "100,101",
        "phone": "+49 30 1",
        "destination": "+49 30 1",
        "whole": "3",
        "text": "text",
        "sql": "select\n1",
    }
    command = COMMANDS[name]
    given = [
        (each.name, each.allowed[-1] if each.allowed else samples[each.kind])
        for each in command.parameters
    ]
    assert command.check(reversed(given)).values == tuple(given)
    with pytest.raises(BadRequest):
        command.check([*given, ("more", "")])
