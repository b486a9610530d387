"""Test the OpenAPI document with a validator, with the table and with real answers."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from msgspec import Struct
from openapi_spec_validator import OpenAPIV31SpecValidator

from gateway.docs.openapi import openapi
from gateway.operations.operation_table import COMMANDS, Command, Run
from gateway.parameters import Arguments, Parameter
from gateway.queries.context import QueryContext
from tests.gateway.docs.document import DOCUMENT, holds, walk
from tests.gateway.world import BARE, FULL, client, view


def test_the_validator_finds_nothing() -> None:
    assert list(OpenAPIV31SpecValidator(DOCUMENT).iter_errors()) == []


def test_the_version_is_the_programs() -> None:
    assert DOCUMENT["info"]["version"] == "1.2.3"


@pytest.mark.parametrize("prefix", ["/webapi/", "/webapi/{key}/"])
def test_every_command_stands_at_both_addresses_with_its_methods(prefix: str) -> None:
    for command in COMMANDS.values():
        item = DOCUMENT["paths"][prefix + command.name]
        methods = {name.upper() for name in item}
        assert methods == set(command.methods) - {"HEAD"}, "Swagger UI reads no parameters here"


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


def test_every_reference_leads_somewhere_and_every_component_is_used() -> None:
    components = {
        f"#/components/{kind}/{name}"
        for kind, named in DOCUMENT["components"].items()
        for name in named
    }
    used = {node["$ref"] for _, node in walk(DOCUMENT) if isinstance(node, dict) and "$ref" in node}
    unnamed = {name for name in components if name.startswith("#/components/securitySchemes/")}
    assert used == components - unnamed


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


class Failure(Struct, frozen=True):
    """Called as what every refusal answers."""

    text: str


def refusing(asked: QueryContext) -> Failure:
    return Failure("x")


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
        Command("site.failure", "read", "has a name of ours", query=refusing),
        Command("site_clash.a_b", "read", "", query=silent),
        Command("site.clash_a.b", "read", "", query=silent),
    )
    assert own_content(document, "site.silent") == {"schema": {}, "example": [1, 2]}
    failing_schema = {"type": "object", "additionalProperties": {"type": "integer"}}
    assert own_content(document, "site.failing") == {"schema": failing_schema}
    assert own_content(document, "site.clash") == {"schema": {}, "example": {"text": "x"}}
    assert own_content(document, "site.failure") == {"schema": {}, "example": {"text": "x"}}
    schemas = document["components"]["schemas"]
    assert "callID" in schemas["CallInfo"]["properties"]
    assert "error" in schemas["Failure"]["properties"]


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
