"""What a key that is limited may change: what it sees, and nothing beyond."""

from __future__ import annotations

import pytest

from gateway.auth.command_authorization import check_limits, goes_beyond, sent_arguments
from gateway.errors import KeyLimited, UnknownExtension, UnknownGroup, UnknownQueue
from gateway.operations.operation_table import COMMANDS
from gateway.queries.context import QueryContext
from gateway.visibility import NO_LIMITS, Limits, Visibility
from monitor.shared.command_messages import VISIBLE
from tests.gateway.world import LIMITS, asked

NAMES_NOTHING_OF_ITS_OWN = {
    "ext.new",
    "contact.update",
    "contact.new",
    "contact.del",
    "query",
    "pbx.stats.get",
}


def question(name: str, arguments: dict[str, str], limits: Limits = LIMITS) -> QueryContext:
    """A command as a key of these limits asks for it."""
    return asked(
        visibility=Visibility(limits), arguments=COMMANDS[name].check(list(arguments.items()))
    )


def test_what_names_nothing_that_can_be_limited_goes_beyond_all_limits() -> None:
    beyond = {name for name, command in COMMANDS.items() if goes_beyond(command)}
    assert beyond == NAMES_NOTHING_OF_ITS_OWN


def test_what_goes_beyond_the_limits_is_refused_and_a_key_without_limits_may_do_it() -> None:
    with pytest.raises(KeyLimited, match=r"ext\.new covers more than these"):
        check_limits(COMMANDS["ext.new"], question("ext.new", {"num": "150"}))
    check_limits(COMMANDS["ext.new"], question("ext.new", {"num": "150"}, NO_LIMITS))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("ext.del", {"num": "101"}),
        ("ext.queue.set", {"num": "101", "queue": "800", "log": "on"}),
        ("queue.agents.set", {"num": "800", "agents": "101, 102"}),
        ("queue.agents.set", {"num": "800", "agents": ""}),
        ("group.members.set", {"num": "600", "members": "102"}),
        ("makecall", {"first": "101", "second": "103"}),
        ("makecall", {"first": "101", "second": "+49 30 1234"}),
        ("makecall", {"first": "800", "second": "+49 30 1234"}),
    ],
)
def test_what_names_only_what_the_key_sees_passes(name: str, arguments: dict[str, str]) -> None:
    check_limits(COMMANDS[name], question(name, arguments))


@pytest.mark.parametrize(
    ("name", "arguments", "refusal", "said"),
    [
        ("ext.del", {"num": "103"}, UnknownExtension, "There is no extension '103'."),
        ("ext.del", {"num": "555"}, UnknownExtension, "There is no extension '555'."),
        (
            "ext.queue.set",
            {"num": "101", "queue": "801", "log": "on"},
            UnknownQueue,
            "There is no queue '801'.",
        ),
        ("queue.agents.set", {"num": "801", "agents": "101"}, UnknownQueue, "'801'"),
        ("queue.agents.set", {"num": "800", "agents": "101, 103"}, UnknownExtension, "'103'"),
        (
            "group.members.set",
            {"num": "601", "members": "101"},
            UnknownGroup,
            "There is no ring group '601'.",
        ),
        (
            "makecall",
            {"first": "103", "second": "101"},
            UnknownExtension,
            "There is no extension or queue '103'.",
        ),
        ("makecall", {"first": "801", "second": "101"}, UnknownExtension, "'801'"),
        ("makecall", {"first": "600", "second": "101"}, UnknownExtension, "'600'"),
    ],
)
def test_what_the_key_does_not_see_is_not_there_for_its_commands_either(
    name: str, arguments: dict[str, str], refusal: type[Exception], said: str
) -> None:
    with pytest.raises(refusal, match=said):
        check_limits(COMMANDS[name], question(name, arguments))
    check_limits(COMMANDS[name], question(name, arguments, NO_LIMITS))  # the PBX's to refuse


def test_a_route_point_that_the_key_lists_may_call_and_one_that_it_does_not_list_may_not() -> None:
    call = {"first": "900", "second": "+49 30 1234"}
    check_limits(COMMANDS["makecall"], question("makecall", call, Limits(frozenset({"900"}))))
    with pytest.raises(UnknownExtension, match="'900'"):
        check_limits(COMMANDS["makecall"], question("makecall", call))


def test_the_members_whom_a_limited_key_sees_go_with_its_list_and_with_nothing_else() -> None:
    given = {"num": "800", "agents": "101"}
    agents = COMMANDS["queue.agents.set"]
    assert sent_arguments(agents, question(agents.name, given)) == given | {VISIBLE: "101,102"}
    assert sent_arguments(agents, question(agents.name, given, NO_LIMITS)) == given
    of_queues = Limits(None, frozenset({"800"}))
    assert sent_arguments(agents, question(agents.name, given, of_queues))[VISIBLE] == ""
    deletion = COMMANDS["ext.del"]
    assert sent_arguments(deletion, question("ext.del", {"num": "101"})) == {"num": "101"}
