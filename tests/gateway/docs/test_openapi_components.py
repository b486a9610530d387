"""The parts of the OpenAPI document that all commands share."""

from __future__ import annotations

import re
from typing import Any

import pytest

from gateway.auth.api_keys import new_key
from gateway.docs.openapi_components import HEADERS, OWN_GROUP, PARAMETERS, group_of
from gateway.errors import BadParameter
from gateway.operations.operation_table import COMMANDS
from gateway.rest.command_requests import parse_position
from monitor.shared.changes import Position
from tests.gateway.docs.document import DOCUMENT, holds, operation
from tests.gateway.world import FULL, client


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


def test_every_command_is_listed_in_a_group_that_is_described() -> None:
    described = [tag["name"] for tag in DOCUMENT["tags"]]
    assert {group_of(name) for name in COMMANDS} <= set(described)
    assert all(tag["description"] for tag in DOCUMENT["tags"])
    assert OWN_GROUP not in {group_of(name) for name in COMMANDS}, "these are documented"
    assert group_of("query") == "SQL"
    assert group_of("ext.of.a.site") == group_of("anything") == OWN_GROUP


def test_the_pattern_of_a_key_fits_every_key_that_is_made() -> None:
    pattern = PARAMETERS["Key"]["schema"]["pattern"]
    assert all(re.search(pattern, new_key()) for _ in range(20))
    assert not re.search(pattern, "a/key")


@pytest.mark.parametrize("schema", [PARAMETERS["MinPosition"], HEADERS["CallmonPosition"]])
def test_the_pattern_of_a_position_takes_what_the_gateway_takes(schema: dict[str, Any]) -> None:
    pattern = schema["schema"]["pattern"]
    position = Position("001772594100000-9f3c", 1024)
    assert re.search(pattern, str(position))
    assert parse_position(str(position)) == position
    for wrong in ("1772594100000-9f3c/1024", "001772594100000-9f3c", "001772594100000-XY/1", "x/1"):
        assert not re.search(pattern, wrong)
        with pytest.raises(BadParameter):
            parse_position(wrong)


def test_every_example_of_a_header_is_what_its_schema_says() -> None:
    for header in HEADERS.values():
        if "example" in header:
            holds(header["example"], header["schema"])
