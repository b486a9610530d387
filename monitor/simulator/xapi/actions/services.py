"""Start and stop the services of the PBX. It tells of them, but nothing depends on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from monitor.simulator.pbx_data.templates import Entity
from monitor.simulator.xapi import errors
from monitor.simulator.xapi.actions.operation import DONE, Operation, body_part
from monitor.simulator.xapi.odata.filter import ODataError
from monitor.simulator.xapi.request import XapiRequest, XapiResponse
from monitor.simulator.xapi.validation import check


def _changes(ability: str, values: Entity) -> Operation:
    """Return the action that sets properties of services which have an ability."""

    def run(asked: XapiRequest) -> XapiResponse:
        for service in _chosen(asked, ability):
            service.update(values)
        return DONE

    return Operation("POST", run)


def _chosen(asked: XapiRequest, ability: str) -> list[Entity]:
    options = check("XServiceManageOptions", body_part(asked, "options"))
    known = asked.site.plain.collection("Services")
    names = options.get("ServiceNames", [])
    if not names:
        raise errors.bad(errors.REQUIRED, "ServiceNames")
    if any(name not in known for name in names):
        raise errors.bad(errors.NOT_FOUND, "ServiceNames")
    if not all(known[name][ability] for name in names):
        raise errors.bad(errors.NOT_SUPPORTED, "ServiceNames")
    return [known[name] for name in names]


def _collect_garbage(asked: XapiRequest) -> XapiResponse:
    if not isinstance(asked.body, dict) or not isinstance(asked.body.get("options"), dict):
        raise ODataError("The request body must be a JSON object with 'options'.")
    check("GarbageCollect", asked.body["options"])
    return DONE


OPERATIONS: Final[Mapping[tuple[str, str], Operation]] = {
    ("Services", "Pbx.Start"): _changes("StartStopEnabled", {"Status": "Running"}),
    ("Services", "Pbx.Stop"): _changes("StartStopEnabled", {"Status": "Stopped"}),
    ("Services", "Pbx.Restart"): _changes("RestartEnabled", {"Status": "Running"}),
    ("Services", "Pbx.Enable"): _changes("RestartEnabled", {"StartStopEnabled": True}),
    ("Services", "Pbx.Disable"): _changes("RestartEnabled", {"StartStopEnabled": False}),
    ("Services", "Pbx.GarbageCollect"): Operation("POST", _collect_garbage),
}
"""Operations by the collection to which they belong and by name."""
