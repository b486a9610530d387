"""What the OpenAPI document says that commands answer is what they answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Struct

from gateway.docs.openapi_responses import Reply, reply_of, without_clashes
from gateway.operations.operation_table import COMMANDS, Command, Query
from gateway.queries.context import QueryContext
from gateway.responses import Failure
from tests.gateway.docs.document import answer_schema, holds, operation
from tests.gateway.documented import ANSWERS


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


class Named(Struct, frozen=True):
    """A reply of a site's."""

    text: str


def named(_: QueryContext) -> Named:
    return Named("x")


def of_unknown_type(_: QueryContext) -> Nowhere:  # type: ignore[name-defined]  # noqa: F821
    return 1


def listed(_: QueryContext) -> list[int]:
    return [1]


@pytest.mark.parametrize(
    ("query", "schema", "kinds"),
    [
        (named, {"$ref": "#/components/schemas/Named"}, (Named,)),
        (listed, {"type": "array", "items": {"type": "integer"}}, ()),
        (of_unknown_type, {}, ()),
    ],
)
def test_a_sites_reply_is_described_as_far_as_its_function_says(
    query: Query, schema: dict[str, Any], kinds: tuple[type, ...]
) -> None:
    reply = reply_of(Command("site.one", "read", "", query=query))
    assert (reply.schema, reply.kinds) == (schema, kinds)


@pytest.mark.parametrize("name", ["CallInfo", "CallsInfo", "Failure"])
def test_of_two_replies_of_one_name_ours_stays(name: str) -> None:
    ours = reply_of(COMMANDS["pbx.callsinfo.get"])
    theirs = Reply({}, (type(name, (Named,), {}),), {"text": "x"})
    fitting = reply_of(Command("site.one", "read", "", query=named))
    found = without_clashes(
        {"pbx.callsinfo.get": ours, "site.clash": theirs, "site.one": fitting}, [Failure]
    )
    assert found == {
        "pbx.callsinfo.get": ours,
        "site.clash": Reply({}, (), {"text": "x"}),
        "site.one": fitting,
    }
