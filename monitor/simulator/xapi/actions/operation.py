"""Represent a function (GET) or an action (POST), and read the arguments of actions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from monitor.simulator.xapi import errors
from monitor.simulator.xapi.entity_sets import SETS
from monitor.simulator.xapi.odata.filter import ODataError
from monitor.simulator.xapi.request import XapiRequest, XapiResponse

DONE = XapiResponse(204)


@dataclass(frozen=True, slots=True)
class Operation:
    """Represent an operation at ``set/name`` or, if ``bound``, at ``set(id)/name``."""

    method: Literal["GET", "POST"]
    run: Callable[[XapiRequest], XapiResponse]
    bound: bool = False


def body_object(asked: XapiRequest) -> dict[str, Any]:
    """Return the body if it is an object. Raises ODataError otherwise."""
    if not isinstance(asked.body, dict):
        raise ODataError("The request body must be a JSON object.")
    return asked.body


def body_part(asked: XapiRequest, name: str) -> dict[str, Any]:
    """Return an object in the body. Raises ODataError or XapiError."""
    value = body_object(asked).get(name)
    if not isinstance(value, dict):
        raise errors.bad(errors.REQUIRED, name)
    return value


def body_text(asked: XapiRequest, name: str) -> str:
    """Return a text in the body, which must not be empty. Raises ODataError or XapiError."""
    value = body_object(asked).get(name)
    if not isinstance(value, str) or not value:
        raise errors.bad(errors.REQUIRED, name)
    return value


def body_ids(asked: XapiRequest, name: str = "ids", kind: type = int) -> list[Any]:
    """Return a list of keys in the body. Raises ODataError or XapiError."""
    ids = body_object(asked).get(name)
    if not isinstance(ids, list) or not all(type(value) is kind for value in ids):
        raise errors.bad(errors.REQUIRED, name)
    return ids


def deletes(name: str, kind: type = int) -> Operation:
    """Return the action that deletes several entities of a collection by their keys.

    A key of which there is no entity is passed over.
    """

    def run(asked: XapiRequest) -> XapiResponse:
        served = SETS[name]
        for key in body_ids(asked, kind=kind):
            entity = served.find(asked.site, key) if served.find else None
            if entity is not None and served.delete is not None:
                served.delete(asked.site, entity)
        return DONE

    return Operation("POST", run)
