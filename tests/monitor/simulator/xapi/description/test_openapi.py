"""The OpenAPI document describes what is served, as the official one does."""

from __future__ import annotations

from typing import Any

import yaml

from monitor.simulator.xapi.description.openapi import openapi
from tests.monitor.simulator.xapi_client import facts


def test_it_is_yaml_with_every_operation_that_is_served() -> None:
    document = yaml.load(openapi(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    told = {
        f"{method.upper()} {path}" for path, found in document["paths"].items() for method in found
    }
    assert told == set(facts()["operations"])
    schemas = document["components"]["schemas"]
    assert set(schemas) == {*facts()["entities"], *facts()["enums"]}
    for reference in _references(document):
        assert reference.removeprefix("#/components/schemas/") in schemas
    users = document["paths"]["/Users"]["get"]
    assert {one["name"] for one in users["parameters"]} >= {"$top", "$filter", "$select"}
    body = document["paths"]["/Users/Pbx.MakeCall"]["post"]["requestBody"]
    assert "destination" in body["content"]["application/json"]["schema"]["properties"]


def _references(part: Any) -> list[str]:
    if isinstance(part, list):
        return [found for item in part for found in _references(item)]
    if not isinstance(part, dict):
        return []
    own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
    return own + [found for item in part.values() for found in _references(item)]
