"""Refusals of the XAPI, as 3CX writes them."""

from __future__ import annotations

import pytest

from monitor.simulator.xapi import errors
from tests.monitor.simulator.xapi_client import Client


def test_a_property_that_is_wrong_is_named_in_the_details() -> None:
    message = {"code": "", "message": "WARNINGS.XAPI.REQUIRED"}
    assert errors.bad(errors.REQUIRED).body() == {"error": message}
    assert errors.bad(errors.REQUIRED, "Number").body() == {
        "error": message | {"details": [message | {"target": "Number"}]}
    }


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.bad("x"), 400),
        (errors.forbidden(), 403),
        (errors.not_found(), 404),
        (errors.not_allowed("GET"), 405),
    ],
)
def test_each_kind_has_its_status(error: errors.XapiError, status: int) -> None:
    assert error.status == status


async def test_a_client_gets_status_headers_and_body() -> None:
    client = Client()
    missing = await client.ask("GET", "/Users(999999)")
    assert (missing.status, missing.body) == (404, errors.not_found().body())
    wrong = await client.ask("DELETE", "/SystemStatus")
    assert wrong.status == 405
    assert wrong.body["error"]["message"] == errors.NOT_SUPPORTED
