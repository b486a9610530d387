"""What the OpenAPI document says that commands take is what they take."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from gateway.docs.openapi_parameters import body_of, json_schema, query_parameters, text_schema
from gateway.operations.operation_table import COMMANDS, Command
from gateway.parameters import Parameter
from tests.gateway.docs.document import body, operation


@pytest.mark.parametrize("command", COMMANDS.values(), ids=lambda command: command.name)
def test_every_parameter_is_described_with_what_it_takes(command: Command) -> None:
    for parameter in command.parameters:
        if "GET" in command.methods:
            shown = next(
                one
                for one in operation(command, "GET")["parameters"]
                if one.get("name") == parameter.name
            )
            assert shown["required"] == parameter.required
            assert parameter.takes in shown["description"]
            assert shown["schema"].get("enum", []) == list(parameter.allowed)
        for form in body(command)["content"].values():
            assert parameter.takes in form["schema"]["properties"][parameter.name]["description"]
            assert (parameter.name in form["schema"].get("required", [])) == parameter.required
            assert form["schema"]["additionalProperties"] is False


VALUES = [
    "101",
    "",
    " ",
    "-1",
    "0",
    "1",
    "2",
    "16",
    "on",
    "external",
    "x" * 65,
    "x" * 1001,
    "a,b",
    "1, 2",
    ",",
    "a\nb",
    "Übung",
    "+49 (30) 1",
    "\x00",
    "9" * 16,
    "9007199254740991",
    "9007199254740992",
    "x" * 20_001,
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: ascii(value)[:20])
def test_a_schema_allows_what_the_parameter_accepts(value: str) -> None:
    seen: set[Parameter] = set()
    for command in COMMANDS.values():
        for parameter in command.parameters:
            if parameter in seen:
                continue
            seen.add(parameter)
            accepted = accepts(command, parameter, value)
            text = int(value) if parameter.kind == "whole" and value.isdigit() else value
            assert allows(text_schema(parameter), text) == accepted, (parameter, value)
            assert (
                not accepted or allows(json_schema(parameter), value) or parameter.kind == "whole"
            )


def accepts(command: Command, parameter: Parameter, value: str) -> bool:
    needs_text = parameter.required and parameter.kind != "dns"
    return parameter.accepts(value) and not (needs_text and not value)


def allows(schema: dict[str, Any], value: object) -> bool:
    return jsonschema.Draft202012Validator(schema).is_valid(value)


def test_a_query_string_takes_no_value_longer_than_an_address_may_be() -> None:
    agents = COMMANDS["queue.agents.set"]
    shown = {one["name"]: one["schema"]["maxLength"] for one in query_parameters(agents)}
    [parameter] = [one for one in agents.parameters if one.name == "agents"]
    assert shown["agents"] < text_schema(parameter)["maxLength"] == parameter.longest


def test_numbers_and_lists_may_be_json() -> None:
    schema = body_of(COMMANDS["queue.agents.set"])["content"]["application/json"]["schema"]
    for fits in ({"num": 800, "agents": ["101", 102]}, {"num": "800", "agents": "101, 102"}):
        assert allows(schema, fits), fits
    for wrong in ({"num": 800, "agents": [-1]}, {"num": 800}, {"num": 800, "agents": "", "x": 1}):
        assert not allows(schema, wrong), wrong


def test_of_some_parameters_one_is_needed() -> None:
    body = body_of(COMMANDS["ext.options.set"])
    assert body["required"]
    assert "At least one of `enabled`, `external`, `recording` is needed." in body["description"]
    schema = body["content"]["application/json"]["schema"]
    assert allows(schema, {"num": "101", "enabled": "on"})
    assert not allows(schema, {"num": "101"})
