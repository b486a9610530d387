"""Test the OpenAPI document with a validator, with the table and with real answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema
import pytest
from msgspec import Struct
from openapi_spec_validator import OpenAPIV31SpecValidator

from gateway.docs.openapi import openapi
from gateway.docs.openapi_errors import codes
from gateway.docs.openapi_examples import arguments_of
from gateway.docs.openapi_parameters import json_schema, text_schema
from gateway.errors import all_shown
from gateway.operations.operation_table import COMMANDS, Command, Run
from gateway.parameters import Arguments, Parameter
from gateway.queries.context import QueryContext
from monitor.pbx.commands import error_mapping, makecall
from monitor.shared.codec import from_json, to_json
from tests.gateway.documented import ANSWERS
from tests.gateway.world import BARE, FULL, client, view

DOCUMENT: dict[str, Any] = from_json(to_json(openapi(COMMANDS.values(), "1.2.3")))


def holds(value: object, schema: dict[str, Any]) -> None:
    """Raises if the value is not as the schema says; references are those of the document."""
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "components": DOCUMENT["components"],
    } | schema
    jsonschema.Draft202012Validator(whole).validate(value)


def operation(command: Command, method: str, prefix: str = "/webapi/") -> dict[str, Any]:
    found = DOCUMENT["paths"][prefix + command.name][method.lower()]
    assert isinstance(found, dict)
    return found


def body(command: Command) -> dict[str, Any]:
    found = DOCUMENT["components"]["requestBodies"][command.name.replace(".", "_")]
    assert isinstance(found, dict)
    return found


def answer_schema(command: str, method: str = "get") -> dict[str, Any]:
    found = DOCUMENT["paths"][f"/webapi/{command}"][method]["responses"]["200"]["content"][
        "application/json"
    ]
    assert isinstance(found["schema"], dict)
    return found["schema"]


def walk(node: Any, place: str = "#") -> Iterator[tuple[str, Any]]:
    yield place, node
    children = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, list)
        else ()
    )
    for name, child in children:
        yield from walk(child, f"{place}/{str(name).replace('~', '~0').replace('/', '~1')}")


def test_the_validator_finds_nothing() -> None:
    assert list(OpenAPIV31SpecValidator(DOCUMENT).iter_errors()) == []


def test_the_version_is_the_programs() -> None:
    assert DOCUMENT["info"]["version"] == "1.2.3"


@pytest.mark.parametrize("prefix", ["/webapi/", "/webapi/{key}/"])
def test_every_command_stands_at_both_addresses_with_its_methods(prefix: str) -> None:
    for command in COMMANDS.values():
        item = DOCUMENT["paths"][prefix + command.name]
        assert {name.upper() for name in item if name != "parameters"} == set(command.methods) - {
            "HEAD"
        }


def test_an_operation_is_named_once() -> None:
    names = [
        node["operationId"]
        for _, node in walk(DOCUMENT["paths"])
        if isinstance(node, dict) and "tags" in node
    ]
    assert (
        len(names)
        == len(set(names))
        == sum(len(set(c.methods) - {"HEAD"}) for c in COMMANDS.values()) * 2 + 4
    )


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


@pytest.mark.parametrize("command", COMMANDS.values(), ids=lambda command: command.name)
def test_the_example_of_a_request_is_one_that_the_command_takes(command: Command) -> None:
    command.check(arguments_of(command).items())
    for form in body(command)["content"].values() if command.parameters else ():
        holds(form["example"], form["schema"])
        command.check((name, str(value)) for name, value in form["example"].items())


@pytest.mark.parametrize("command", COMMANDS.values(), ids=lambda command: command.name)
def test_every_answer_has_an_example_that_its_schema_allows(command: Command) -> None:
    for method in set(command.methods) - {"HEAD"}:
        content = operation(command, method)["responses"]["200"]["content"]["application/json"]
        holds(content["example"], content["schema"])


@pytest.mark.parametrize(("command", "answer"), [(name, answer) for name, _, answer in ANSWERS])
def test_what_a_query_answers_is_what_its_schema_says(command: str, answer: str) -> None:
    holds(json.loads(answer), answer_schema(command))


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("ext.queueglobal.set", {"result": False}),
        ("ext.update", {"result": True}),
        ("ext.update", {"result": True, "unsupported": ["reinvite"]}),
        ("makecall", {"result": True, "finalStatus": "Success"}),
        ("contact.new", {"result": True, "id": 41}),
    ],
)
def test_the_replies_of_commands_are_what_their_schemas_say(
    command: str, reply: dict[str, object]
) -> None:
    holds(reply, answer_schema(command, "post"))


def test_every_example_of_a_failure_is_one() -> None:
    for response in DOCUMENT["components"]["responses"].values():
        content = response["content"]["application/json"]
        assert content["examples"]
        for example in content["examples"].values():
            holds(example["value"], content["schema"])


def test_every_refusal_over_http_stands_under_its_status() -> None:
    by_status = {
        status: DOCUMENT["components"]["responses"][response["$ref"].rpartition("/")[2]]
        for command in COMMANDS.values()
        for method in set(command.methods) - {"HEAD"}
        for status, response in operation(command, method)["responses"].items()
        if "$ref" in response
    }
    assert list(map(int, sorted(by_status))) == [
        400,
        401,
        403,
        404,
        405,
        409,
        413,
        415,
        429,
        503,
        504,
    ]
    for row in all_shown().values():
        if row.status not in (426, 501):
            assert row.code in by_status[str(row.status)]["content"]["application/json"]["examples"]
            assert f"`{row.code}`" in DOCUMENT["components"]["schemas"]["Failure"]["description"]


def test_every_refusal_of_a_3cx_that_has_a_word_of_its_own_stands_under_its_status() -> None:
    statuses = {"missing": 404, "conflict": 409, "bad": 400}
    for meaning in error_mapping._WARNINGS.values():
        assert meaning.code in codes()[statuses[meaning.kind]]


@pytest.mark.parametrize("reason", makecall._SENTENCES)
def test_why_a_call_may_fail_stands_in_the_document(reason: str) -> None:
    assert makecall._snake(reason) in codes()[409]


def test_every_reference_leads_somewhere_and_every_component_is_used() -> None:
    components = {
        f"#/components/{kind}/{name}"
        for kind, named in DOCUMENT["components"].items()
        for name in named
    }
    used = {node["$ref"] for _, node in walk(DOCUMENT) if isinstance(node, dict) and "$ref" in node}
    unnamed = {name for name in components if name.startswith("#/components/securitySchemes/")}
    assert used == components - unnamed


def test_the_key_is_taken_in_every_documented_way() -> None:
    schemes = DOCUMENT["components"]["securitySchemes"].values()
    assert [(scheme["type"], scheme.get("in"), scheme.get("name")) for scheme in schemes] == [
        ("http", None, None),
        ("apiKey", "header", "X-API-Key"),
        ("apiKey", "query", "key"),
    ]
    for command in COMMANDS.values():
        for method in set(command.methods) - {"HEAD"}:
            assert operation(command, method)["security"] == [
                {"bearer": []},
                {"header": []},
                {"query": []},
            ]
            assert operation(command, method, "/webapi/{key}/")["security"] == [{}]


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
]
VALUES += [
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


class Ages(Struct, frozen=True):
    """How long calls have lasted."""

    seconds: tuple[int, ...]


class CallInfo(Struct, frozen=True):
    """Called as one of callmon's own."""

    text: str


def ages(asked: QueryContext) -> Ages:
    return Ages(tuple(range(len(asked.live["calls"]))))


def clashing(asked: QueryContext) -> CallInfo:
    return CallInfo("x")


def failing(asked: QueryContext) -> dict[str, int]:
    return {"one": asked.arguments.whole("missing")}


def silent(asked: QueryContext):  # type: ignore[no-untyped-def]  # as a site may write it
    return [1, 2]


async def composed(run: Run, arguments: Arguments) -> Ages:
    return Ages(tuple((await run("pbx.calls.get")).values()))


def with_own(*own: Command) -> dict[str, Any]:
    document = openapi([*COMMANDS.values(), *own], "1.2.3")
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []
    return document


def own_content(document: dict[str, Any], name: str) -> dict[str, Any]:
    found = document["paths"][f"/webapi/{name}"]["get"]["responses"]["200"]["content"][
        "application/json"
    ]
    assert isinstance(found, dict)
    return found


def test_a_command_that_is_added_to_the_table_is_documented_by_that() -> None:
    unit = Parameter("unit", "choice", "what to count", allowed=("seconds", "minutes"))
    document = with_own(
        Command(
            "site.ages",
            "read",
            "how old the calls are",
            (unit,),
            ages,
            methods=("GET", "HEAD", "POST"),
        )
    )
    content = own_content(document, "site.ages")
    assert content == {
        "schema": {"$ref": "#/components/schemas/Ages"},
        "example": {"seconds": [0, 1]},
    }
    assert document["components"]["schemas"]["Ages"]["description"] == "How long calls have lasted."
    assert document["paths"]["/webapi/site.ages"]["get"]["tags"] == ["More commands"]


def test_a_command_made_of_commands_is_documented_with_what_it_returns() -> None:
    document = with_own(Command("site.all", "control", "several at once", composition=composed))
    assert own_content(document, "site.all") == {"schema": {"$ref": "#/components/schemas/Ages"}}
    assert {"409", "501"} <= set(document["paths"]["/webapi/site.all"]["get"]["responses"])


def test_a_command_that_does_not_say_what_it_returns_is_documented_all_the_same() -> None:
    document = with_own(
        Command("site.silent", "read", "", query=silent),
        Command("site.failing", "read", "fails", query=failing),
        Command("site.clash", "read", "has a name of ours", query=clashing),
        Command("site_clash.a_b", "read", "", query=silent),
        Command("site.clash_a.b", "read", "", query=silent),
    )
    assert own_content(document, "site.silent") == {"schema": {}, "example": [1, 2]}
    failing_schema = {"type": "object", "additionalProperties": {"type": "integer"}}
    assert own_content(document, "site.failing") == {"schema": failing_schema}
    assert own_content(document, "site.clash") == {"schema": {}, "example": {"text": "x"}}
    assert "callID" in document["components"]["schemas"]["CallInfo"]["properties"]


async def test_the_bare_address_and_the_health_addresses_answer_as_their_schemas_say() -> None:
    async with client(view()) as http:
        for path, documented in (
            (f"/webapi/{BARE}/", "/webapi/{key}/"),
            ("/healthz", "/healthz"),
            ("/readyz", "/readyz"),
            (f"/readyz?key={FULL}", "/readyz"),
        ):
            await answers_as_documented(http, path, documented)
    async with client(view(loaded=False)) as http:
        await answers_as_documented(http, "/readyz", "/readyz")
        await answers_as_documented(http, f"/readyz?key={FULL}", "/readyz")


async def answers_as_documented(http: httpx.AsyncClient, path: str, documented: str) -> None:
    answer = await http.get(path)
    response = DOCUMENT["paths"][documented]["get"]["responses"][str(answer.status_code)]
    holds(answer.json(), response["content"]["application/json"]["schema"])
    holds(
        response["content"]["application/json"]["example"],
        response["content"]["application/json"]["schema"],
    )


async def test_the_documented_headers_come_with_an_answer() -> None:
    headers = DOCUMENT["paths"]["/webapi/pbx.calls.get"]["get"]["responses"]["200"]["headers"]
    async with client() as http:
        answer = await http.get(f"/webapi/{FULL}/pbx.calls.get")
    assert set(headers) - {"Callmon-Stale-Since", "RateLimit", "RateLimit-Policy"} <= {
        "-".join(p.title() for p in h.split("-")) for h in answer.headers
    } | {"ETag"}
    holds(
        answer.headers["callmon-position"],
        DOCUMENT["components"]["headers"]["CallmonPosition"]["schema"],
    )
