"""Answer paths under ``/callcontrol`` as 3CX v20's Call Control does.

There is no HTTP in this module, because the socket makes requests too. Rules:

- A client sees its own route point and the DNs that it was given to monitor. Another DN of the PBX
  answers 403. A number that is not a DN answers 404, and so does a participant that is gone.
- ``makecall`` at a device places the call there. At a DN it does so if the DN has exactly one
  device; else the PBX rings the DN first.
- A request that fails says so in a CallControlResult, with status 422 (404 if its subject is gone).
  If the switch says so, it answers 200 and no ``result`` instead.
- ``routeto`` and ``transferto`` at a route point are answered once it is decided whether the target
  takes the call (:mod:`monitor.simulator.callcontrol.route_attempts`), or at once, by a switch.
- Audio flows at the client's own route point (:mod:`monitor.simulator.callcontrol.audio`). A
  participant's stream answers 403 if it belongs to another DN, and 424 before it is connected.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

import msgspec

from monitor.simulator.behaviour_options import Switches
from monitor.simulator.callcontrol.route_attempts import Attempt, RouteAttempts
from monitor.simulator.calls.switchboard import CallOutcome, ControlRequest, Switchboard
from monitor.simulator.faults import Faults
from monitor.simulator.pbx_data.directory import Device, Directory, Dn

ACTIONS: Final = frozenset(
    (
        "drop",
        "answer",
        "divert",
        "routeto",
        "transferto",
        "attach_participant_data",
        "attach_party_data",
    )
)
_DECIDED_BY_THE_TARGET: Final = frozenset(("routeto", "transferto"))
_NEED_DESTINATION: Final = frozenset(("divert", "routeto", "transferto"))


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """Represent an answer: an HTTP status and a payload for JSON. None: no body."""

    status: int
    payload: object = None


@dataclass(frozen=True, slots=True)
class LaterResponse:
    """Represent an answer that comes once an attempt is decided."""

    control: CallControl
    attempt: Attempt

    async def settled(self) -> ApiResponse:
        """Wait for the answer and return it."""
        return self.control.result(await self.attempt.outcome)


class _Refused(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class MonitoredDns:
    """Tell which DNs an API client may see: its own route point and its peers.

    A person sees only the own extension. The answers are remembered until the directory changes.
    """

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._known: dict[str, frozenset[str]] = {}
        directory.on_change(lambda _: self._known.clear())

    def of(self, client_id: str) -> frozenset[str]:
        """Return the numbers of the DNs that a client may see."""
        found = self._known.get(client_id)
        if found is None:
            found = self._known[client_id] = frozenset(
                (client_id, *self._directory.peers(client_id))
            )
        return found


class CallControl:
    """Answer requests for paths. Single-threaded."""

    def __init__(
        self,
        directory: Directory,
        switchboard: Switchboard,
        switches: Switches,
        faults: Faults,
        visibility: MonitoredDns,
    ) -> None:
        self._directory = directory
        self._switchboard = switchboard
        self._switches = switches
        self._faults = faults
        self._visibility = visibility
        self._attempts = RouteAttempts(switchboard)

    def clear(self) -> None:
        """Answer all requests that wait, because the PBX stops."""
        self._attempts.clear()

    def answer(
        self, client_id: str, method: str, path: str, body: bytes = b""
    ) -> ApiResponse | LaterResponse:
        """Return the response to a client's request.

        ``path`` is as sent, still percent-encoded, without a query.
        """
        parts = [unquote(part) for part in path.split("/")[2:] if part]
        try:
            match method, parts:
                case "GET", []:
                    return ApiResponse(
                        200, [self._dn_info(dn) for dn in self._visible_dns(client_id)]
                    )
                case "GET", [number, *rest]:
                    return self._read(self._dn(client_id, number), rest)
                case "POST", [number, *rest]:
                    return self._do(self._dn(client_id, number), rest, body)
                case _:
                    return ApiResponse(405)
        except _Refused as refused:
            return ApiResponse(refused.status)

    def ask(self, client_id: str, path: str, body: bytes) -> ApiResponse | LaterResponse:
        """Return the response to a request over the socket.

        Such a request names no method: actions and makecall count as POST, all others as GET.
        """
        last = path.rstrip("/").rpartition("/")[2]
        return self.answer(
            client_id, "POST" if last in ACTIONS or last == "makecall" else "GET", path, body
        )

    def stream(self, client_id: str, method: str, path: str) -> tuple[str, int] | ApiResponse:
        """Return the DN and participant id of an audio stream's path, or the refusal."""
        parts = [unquote(part) for part in path.split("/")[2:] if part]
        try:
            match method, parts:
                case "GET" | "POST", [number, "participants", participant_id, "stream"]:
                    return self._stream(self._dn(client_id, number), participant_id, client_id)
                case _:
                    return ApiResponse(405)
        except _Refused as refused:
            return ApiResponse(refused.status)

    def _read(self, dn: Dn, rest: list[str]) -> ApiResponse:
        match rest:
            case []:
                return ApiResponse(200, self._dn_info(dn))
            case ["participants", participant_id]:
                return ApiResponse(200, self._participant(dn, participant_id))
            case ["participants"]:
                return ApiResponse(200, self._participants(dn))
            case ["devices"]:
                return ApiResponse(200, [_device_json(device) for device in self._devices(dn)])
            case ["devices", device_id]:
                return ApiResponse(200, _device_json(self._device(dn, device_id)))
            case _:
                return ApiResponse(404)

    def _do(self, dn: Dn, rest: list[str], body: bytes) -> ApiResponse | LaterResponse:
        match rest:
            case ["makecall"]:
                devices = self._devices(dn)
                return self._makecall(dn, devices[0].device_id if len(devices) == 1 else None, body)
            case ["devices", device_id, "makecall"]:
                return self._makecall(dn, self._device(dn, device_id).device_id, body)
            case ["participants", participant_id, action] if action in ACTIONS:
                return self._act(dn, participant_id, action, _request(body))
            case [] | ["devices" | "participants", *_]:
                return ApiResponse(405 if len(rest) < 3 else 404)
            case _:
                return ApiResponse(404)

    def _makecall(self, dn: Dn, device_id: str | None, body: bytes) -> ApiResponse:
        request = _request(body)
        if not request.destination:
            return ApiResponse(400)
        attached = dict(request.attached or {})
        return self.result(
            self._switchboard.makecall(
                dn.number, device_id, request.destination, request.timeout, attached
            )
        )

    def _act(
        self, dn: Dn, participant_id: str, action: str, request: ControlRequest
    ) -> ApiResponse | LaterResponse:
        if action in _NEED_DESTINATION and not request.destination:
            return ApiResponse(400)
        view = self._switchboard.participant(dn.number, _number(participant_id))
        if view is None:
            return ApiResponse(404)
        before = self._attempts.legs_of(view.callid)
        outcome = self._switchboard.act(dn.number, view.id, action, request)
        waits = dn.kind == "routepoint" and self._switches.routeto_answer == "decided"
        if outcome.finalstatus == "Success" and waits and action in _DECIDED_BY_THE_TARGET:
            attempt = self._attempts.attempt(view.callid, before)
            if attempt is not None:
                return LaterResponse(self, attempt)
        return self.result(outcome)

    def result(self, outcome: CallOutcome) -> ApiResponse:
        """Return the response that tells an outcome."""
        payload: dict[str, object] = {"finalstatus": outcome.finalstatus, "reason": outcome.reason}
        success = outcome.finalstatus == "Success"
        if success and outcome.participant is not None:
            self._switchboard.served_participant(outcome.participant)
            payload["result"] = outcome.participant.to_json(self._switches)
        payload["reasontext"] = outcome.reasontext
        if success or self._switches.failed_makecall == "ok":
            return ApiResponse(200, payload)
        return ApiResponse(404 if outcome.reason == "SubjectNotFound" else 422, payload)

    def _stream(self, dn: Dn, participant_id: str, client_id: str) -> tuple[str, int]:
        view = self._switchboard.participant(dn.number, _number(participant_id))
        if view is None:
            raise _Refused(404)
        if dn.number != client_id or dn.kind != "routepoint":
            raise _Refused(403)
        if view.status != "Connected":
            raise _Refused(424)
        return dn.number, view.id

    def _visible_dns(self, client_id: str) -> list[Dn]:
        known = (self._directory.dn(number) for number in self._visibility.of(client_id))
        return sorted((dn for dn in known if dn is not None), key=lambda dn: dn.number)

    def _dn(self, client_id: str, number: str) -> Dn:
        dn = self._directory.dn(number)
        if dn is None:
            raise _Refused(404)
        if number not in self._visibility.of(client_id):
            raise _Refused(403)
        return dn

    def _dn_info(self, dn: Dn) -> dict[str, object]:
        return {
            "dn": dn.number,
            "type": f"W{dn.kind}",
            "devices": [_device_json(device) for device in self._devices(dn)],
            "participants": self._participants(dn),
        }

    def _participants(self, dn: Dn) -> list[dict[str, object]]:
        views = self._switchboard.participants(dn.number)
        for view in views:
            self._switchboard.served_participant(view)
        return [view.to_json(self._switches) for view in views]

    def _participant(self, dn: Dn, participant_id: str) -> dict[str, object]:
        view = self._switchboard.participant(dn.number, _number(participant_id))
        if view is None or self._faults.misses():
            raise _Refused(404)
        self._switchboard.served_participant(view)
        return view.to_json(self._switches)

    def _devices(self, dn: Dn) -> list[Device]:
        if dn.kind in ("queue", "ivr") and not self._switches.host_devices:
            return []
        return self._directory.devices(dn.number)

    def _device(self, dn: Dn, device_id: str) -> Device:
        found = next(
            (device for device in self._devices(dn) if device.device_id == device_id),
            None,
        )
        if found is None:
            raise _Refused(404)
        return found


def _device_json(device: Device) -> dict[str, object]:
    return {"dn": device.dn, "device_id": device.device_id, "user_agent": device.user_agent}


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise _Refused(404)
    return int(text)


def _request(body: bytes) -> ControlRequest:
    """Return the request in a body. Raises _Refused(400) if it is malformed.

    Names may be in any case, as .NET reads them.
    """
    if not body.strip():
        return ControlRequest()
    try:
        fields = msgspec.json.decode(body, type=dict[str, object] | None) or {}
        known = {key.lower(): value for key, value in fields.items() if value is not None}
        return ControlRequest(
            reason=msgspec.convert(known.get("reason", "None"), str),
            destination=msgspec.convert(known.get("destination", ""), str).strip(),
            timeout=msgspec.convert(known.get("timeout"), int | None),
            attached=msgspec.convert(known.get("attacheddata", {}), dict[str, str]),
        )
    except msgspec.MsgspecError as error:
        raise _Refused(400) from error
