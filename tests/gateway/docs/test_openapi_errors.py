"""Refusals in the OpenAPI document: each under its status, with its meaning."""

from __future__ import annotations

import pytest

from gateway.docs.openapi_errors import codes, error_responses, responses_to, table_of_codes
from gateway.errors import all_shown
from gateway.operations.operation_table import COMMANDS
from monitor.pbx.commands import error_mapping, makecall
from tests.gateway.docs.document import DOCUMENT, holds, operation


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


def test_the_table_of_codes_has_each_code_once_with_one_line_of_meaning() -> None:
    head, line, *rows = table_of_codes().splitlines()
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert head.count("|") == line.count("|") == 4
    assert {len(row) for row in cells} == {3}
    keys = [(status, code) for status, code, _ in cells]
    assert len(keys) == len(set(keys)) == sum(map(len, codes().values()))
    assert all(meaning.endswith((".", ":")) for _, _, meaning in cells)


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (400, set()),
        (401, {"WWW-Authenticate"}),
        (405, {"Allow"}),
        (429, {"Retry-After", "RateLimit", "RateLimit-Policy"}),
        (503, {"Retry-After"}),
        (504, {"Retry-After"}),
    ],
)
def test_a_response_tells_what_its_headers_are(status: int, headers: set[str]) -> None:
    [response] = error_responses([status]).values()
    assert set(response.get("headers", ())) == headers


def test_responses_are_referred_to_by_status() -> None:
    assert list(responses_to([404, 400])) == ["400", "404"]
    for reference in responses_to(codes()).values():
        assert reference["$ref"].rpartition("/")[2] in error_responses(codes())
