"""The tables of entities, by the official file."""

from __future__ import annotations

from monitor.simulator.xapi.entity_sets import SETS
from monitor.simulator.xapi.odata_actions import OPERATIONS as INVOKED
from tests.monitor.simulator.extract_schema import OPERATIONS


def test_everything_in_the_tables_is_an_operation_of_the_official_file() -> None:
    for name, served in SETS.items():
        assert f"GET /{name}" in OPERATIONS
        assert (f"POST /{name}" in OPERATIONS) is (served.create is not None)
        assert (f"PATCH /{name}({{Id}})" in OPERATIONS) is (served.change is not None)
        assert (f"DELETE /{name}({{Id}})" in OPERATIONS) is (served.delete is not None)
        assert (f"GET /{name}(Number={{Number}})" in OPERATIONS) is (served.numbered is not None)
        for path in served.paths:
            assert f"GET /{name}({{Id}})/{path}" in OPERATIONS
    for (owner, name), operation in INVOKED.items():
        key = "({Id})" if operation.bound else ""
        start = f"{operation.method} /{owner}{key}/{name}"
        assert any(text == start or text.startswith(f"{start}(") for text in OPERATIONS), start
