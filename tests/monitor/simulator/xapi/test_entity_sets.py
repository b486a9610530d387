"""The tables of entities, by the official file."""

from __future__ import annotations

import pytest

from monitor.simulator.xapi.entity_sets import SETS
from monitor.simulator.xapi.odata_actions import OPERATIONS as INVOKED
from monitor.simulator.xapi.singletons import SINGLETONS
from tests.monitor.simulator.xapi_client import Client, facts


def test_everything_in_the_tables_is_an_operation_of_the_official_file() -> None:
    served = facts()["operations"]
    for name, found in SETS.items():
        assert f"GET /{name}" in served
        one = f"/{name}({{{found.key}}})"
        assert (f"POST /{name}" in served) is (found.create is not None)
        assert (f"PATCH {one}" in served) is (found.change is not None)
        assert (f"DELETE {one}" in served) is (found.delete is not None), name
        assert (f"GET /{name}(Number={{Number}})" in served) is (found.numbered is not None)
        for path in found.paths:
            assert f"GET {one}/{path}" in served
    for (owner, name), operation in INVOKED.items():
        key = f"({{{SETS[owner].key}}})" if operation.bound else ""
        start = f"{operation.method} /{owner}{key}/{name}"
        assert any(text == start or text.startswith(f"{start}(") for text in served), start


def test_every_operation_of_the_official_file_that_is_described_is_in_the_tables() -> None:
    for operation in facts()["operations"]:
        owner, _, below = operation.split(" ")[1].strip("/").partition("/")
        name = owner.split("(")[0]
        if below.startswith("Pbx."):
            assert (name, below.split("(")[0]) in INVOKED, operation
        else:
            assert name in SETS or name in SINGLETONS, operation


@pytest.mark.parametrize("name", ["Recordings", "Backups", "CallFlowScripts", "Holidays"])
async def test_a_collection_without_rows_counts_none(name: str) -> None:
    client = Client()
    assert (await client.get(f"/{name}", count="true")).body["@odata.count"] == 0
    assert (await client.get(f"/{name}/$count")).body == 0
    assert (await client.ask("GET", f"/{name}", select="Colour")).status == 400
