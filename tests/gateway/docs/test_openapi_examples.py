"""The documents' examples of requests and answers."""

from __future__ import annotations

from typing import get_args

import pytest

from gateway.docs.openapi_examples import answer_of, arguments_of, value_of
from gateway.operations.operation_table import COMMANDS, Command
from gateway.parameters import Kind, Parameter
from gateway.queries.context import QueryContext
from tests.gateway.docs.document import body, holds


@pytest.mark.parametrize("command", COMMANDS.values(), ids=lambda command: command.name)
def test_the_example_of_a_request_is_one_that_the_command_takes(command: Command) -> None:
    command.check(arguments_of(command).items())
    for form in body(command)["content"].values() if command.parameters else ():
        holds(form["example"], form["schema"])
        command.check((name, str(value)) for name, value in form["example"].items())


PARAMETERS = [
    pytest.param(command.name, parameter, id=f"{command.name} {parameter.name}")
    for command in COMMANDS.values()
    for parameter in command.parameters
]


@pytest.mark.parametrize(("command", "parameter"), PARAMETERS)
def test_a_parameters_example_is_one_that_it_accepts(command: str, parameter: Parameter) -> None:
    assert parameter.accepts(value_of(command, parameter))


@pytest.mark.parametrize("kind", get_args(Kind))
def test_a_sites_own_parameter_gets_an_example_that_it_accepts(kind: Kind) -> None:
    """Also where our example of that name would not fit: too long here, or of another kind."""
    for name in ("query", "num", "of_a_site"):
        parameter = Parameter(name, kind, "", longest=16, allowed=("a", "b"))
        assert parameter.accepts(value_of("site.command", parameter))


@pytest.mark.parametrize("name", [name for name, one in COMMANDS.items() if one.query])
def test_every_query_is_answered_by_the_small_pbx(name: str) -> None:
    assert answer_of(COMMANDS[name]) is not None


def test_a_change_is_shown_with_some_fields_and_a_query_with_what_it_needs() -> None:
    assert set(arguments_of(COMMANDS["ext.update"])) == {"num", "firstname", "lastname"}
    assert set(arguments_of(COMMANDS["contact.find"])) == {"num"}
    assert answer_of(COMMANDS["ext.update"]) is None


def test_a_sites_own_query_that_fails_has_no_example() -> None:
    def failing(_: QueryContext) -> object:
        raise ZeroDivisionError

    assert answer_of(Command("site.failing", "read", "", query=failing)) is None
