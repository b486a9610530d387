"""Ask the XAPI's routes alone, over ASGI, and check that their answers conform."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from jsonschema import Draft202012Validator
from starlette.applications import Starlette

from monitor.simulator.behaviour_options import Switches
from monitor.simulator.calls.switchboard import CallOutcome, Event, ParticipantView
from monitor.simulator.pbx_data.directory import Directory
from monitor.simulator.pbx_data.generator import make_directory
from monitor.simulator.pbx_data.templates import Entity
from monitor.simulator.tokens import Principal, Tokens
from monitor.simulator.xapi import router
from monitor.simulator.xapi.context import Site
from tests import asgi
from tests.monitor.simulator.exchange_bench import Bench
from tests.monitor.simulator.extract_schema import SCHEMA_FILE

NOW: Final = 1_772_594_130.125
"""What the PBX's clock shows: 2026-03-04T03:15:30.125."""


@dataclass(frozen=True)
class Row:
    """A row of ActiveCalls."""

    id: int
    caller: str
    callee: str
    status: str = "Talking"
    last_change_status: float | None = NOW - 30
    established_at: float | None = NOW - 35.5


@dataclass
class Calls:
    """Calls that stand still."""

    rows: list[Row] = field(default_factory=list)
    served: list[int] = field(default_factory=list)
    served_participants: list[ParticipantView] = field(default_factory=list)
    committed_at: float = NOW

    def listen(self, callback: Callable[[Event], None]) -> None:
        """Nothing ever happens."""

    def participant(self, number: str, participant_id: int) -> ParticipantView | None:
        return None

    def active_calls(self) -> Sequence[Row]:
        return self.rows

    def served_rows(self, rows: Iterable[Row]) -> None:
        self.served += [row.id for row in rows]

    def served_participant(self, view: ParticipantView) -> None:
        self.served_participants.append(view)

    def drop_call(self, call_id: int) -> bool:
        before = len(self.rows)
        self.rows = [row for row in self.rows if row.id != call_id]
        return len(self.rows) < before

    def makecall(
        self,
        dn: str,
        device_id: str | None,
        destination: str,
        timeout: int | None,
        attached: dict[str, str],
    ) -> CallOutcome:
        assert device_id is None
        assert timeout == 30
        assert attached == {}
        if destination == "404":
            return CallOutcome("Failed", "UnknownDestination", "no such number")
        return CallOutcome("Success", participant=_dialling(dn, destination))


def _dialling(dn: str, party: str) -> ParticipantView:
    """What a call made by the API begins with."""
    return ParticipantView(
        id=8107,
        status="Dialing",
        dn=dn,
        party_caller_name="",
        party_dn=party,
        party_caller_id=party,
        party_did="",
        device_id=f"sip:{dn}@127.0.0.1:5063",
        party_dn_type="Wextension",
        direct_control=False,
        originated_by_dn="",
        originated_by_type="None",
        referred_by_dn="",
        referred_by_type="None",
        on_behalf_of_dn="",
        on_behalf_of_type="None",
        callid=1265,
        legid=1,
    )


@dataclass(frozen=True)
class Answer:
    """A status, headers and the decoded body."""

    status: int
    headers: dict[str, str]
    body: Any

    @property
    def value(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.body["value"]
        return rows

    def column(self, name: str) -> list[Any]:
        return [row[name] for row in self.value]


class Client:
    """Asks the XAPI of a made-up PBX.

    Every successful answer to an operation of the API is checked against it. ``bench``: the PBX,
    with calls that happen. ``client_id``: DN of the client.
    """

    def __init__(
        self,
        directory: Directory | None = None,
        switches: Switches | None = None,
        role: str = "system_owners",
        calls: Calls | None = None,
        bench: Bench | None = None,
        client_id: str = "callmon",
    ) -> None:
        self.directory = bench.directory if bench else directory or make_directory(7, 30, 3, 60)
        self.calls = calls or Calls()
        self.role = role
        self.client_id = client_id
        self.site = Site(
            self.directory,
            bench.switchboard if bench else self.calls,
            switches or Switches(),
            (lambda: bench.now) if bench else lambda: NOW,
            Tokens(self.directory, switches or Switches(), lambda: NOW),
        )
        self._app = Starlette(routes=router.routes(self.site))

    async def ask(
        self, method: str, path: str, body: Any = None, *, query: str | None = None, **options: Any
    ) -> Answer:
        """Send a request. ``options``: options without ``$``; ``query``: the raw query string."""
        raw = (
            query
            if query is not None
            else urlencode({f"${name}": value for name, value in options.items()})
        )
        content = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        answer = await self._send(method, path, raw, content)
        if 200 <= answer.status < 300:
            conform(
                method,
                path,
                answer,
                plain="expand" not in options and "select" not in options and not query,
            )
        else:
            validator("Pbx.ODataErrors.ODataError").validate(answer.body)
        return answer

    async def get(self, path: str, **options: Any) -> Answer:
        answer = await self.ask("GET", path, **options)
        assert answer.status == 200, answer.body
        return answer

    async def follow(self, url: str) -> Answer:
        parts = urlsplit(url)
        assert parts.path.startswith(router.PREFIX)
        return await self.ask("GET", parts.path.removeprefix(router.PREFIX), query=parts.query)

    async def _send(self, method: str, path: str, query: str, content: bytes) -> Answer:
        scope = {
            "method": method,
            "scheme": "https",
            "path": router.PREFIX + path,
            "raw_path": quote(router.PREFIX + path).encode(),
            "query_string": query.encode(),
            "headers": [(b"host", b"pbx.example.com:5001"), (b"content-type", b"application/json")],
            "server": ("pbx.example.com", 5001),
            "state": {
                "role": self.role,
                "principal": Principal(self.client_id, frozenset(), self.role, NOW + 60),
            },
        }
        status, pairs, text = await asgi.ask(self._app, scope, content)
        headers = {name.decode(): value.decode() for name, value in pairs}
        plain = headers.get("content-type", "") in ("application/xml", "application/yaml")
        body = text if plain else json.loads(text) if text else None
        return Answer(status, headers, body)


def refusal(answer: Answer) -> tuple[int, str, str]:
    """Its status, what it says, and of which property."""
    error = answer.body["error"]
    details = error.get("details", ({"target": ""},))
    return answer.status, error["message"], details[0]["target"]


def user(client: Client, number: str) -> Entity:
    """The user of this number, as the PBX holds it."""
    found = client.directory.entity(number)
    assert found is not None
    return found


@cache
def facts() -> dict[str, Any]:
    """What the official OpenAPI file says of what is served."""
    found: dict[str, Any] = json.loads(SCHEMA_FILE.read_text())
    return found


SEEN: Final[set[str]] = set()
"""Operations that were answered and checked in this run."""


def conform(method: str, path: str, answer: Answer, *, plain: bool) -> None:
    """Check an answer against the API.

    ``plain``: without options that leave properties out or bring others in.
    """
    operation = f"{method} {_template(path)}"
    if operation not in facts()["operations"]:
        assert path in ("", "/", "/$metadata", "/swagger.yaml") or path.endswith(("/$count", ")"))
        return
    SEEN.add(operation)
    status, _, kind = facts()["operations"][operation].partition(" ")
    assert answer.status == int(status)
    if not kind:
        assert answer.body is None
        return
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.headers["odata-version"] == "4.0"
    validator(kind).validate(answer.body)
    if plain:
        for row in answer.body["value"] if kind.startswith("value:[") else [answer.body]:
            _check_complete(kind, row)


def _check_complete(kind: str, row: Any) -> None:
    properties = facts()["entities"].get(kind.removeprefix("value:").strip("[]"))
    if properties is not None:
        structural = {name for name, text in properties.items() if not text.startswith("nav ")}
        assert {name for name in row if "@odata" not in name} == structural


def _template(path: str) -> str:
    """The address as the official file writes it, with the names of keys and arguments."""
    owner, _, below = path.strip("/").partition("/")
    if not below.startswith("Pbx."):
        name, bracket, _ = owner.partition("(")
        number = "Number={Number}" if "(Number=" in owner else f"{{{_key(name)}}}"
        owner = f"{name}({number})" if bracket else owner
        return f"/{owner}/{below}" if below else f"/{owner}"
    name, bracket, _ = owner.partition("(")
    start = f"/{name}({{{_key(name)}}})/" if bracket else f"/{name}/"
    start += below.split("(")[0]
    found = (text.split(" ")[1] for text in facts()["operations"])
    return next((text for text in found if text == start or text.startswith(f"{start}(")), start)


def _key(name: str) -> str:
    """The name of the key of a collection's entities."""
    kind = facts()["operations"].get(f"GET /{name}", " ").split(" ")[1].removeprefix("value:")
    return str(facts()["keys"].get(kind.strip("[]"), "Id"))


@cache
def validator(kind: str) -> Draft202012Validator:
    """Checks a value against a type as the facts write it; unknown properties are refused."""
    definitions = {
        name: _entity(facts()["entities"][name])
        if name in facts()["entities"]
        else {"enum": facts()["enums"][name]}
        for name in _reached(kind)
    }
    if kind.startswith("value:"):
        schema = _entity({"value": kind.removeprefix("value:")}) | {"required": ["value"]}
    else:
        schema = _json_schema(kind)
    return Draft202012Validator({**schema, "$defs": definitions})


def _reached(kind: str) -> set[str]:
    """The names of all types that a value of a type may hold."""
    found: set[str] = set()
    wanted = [kind]
    while wanted:
        name = wanted.pop().removeprefix("value:").removeprefix("nav ").removesuffix("?")
        name = name.strip("[]").removesuffix("?")
        if name.startswith("Pbx.") and name not in found:
            found.add(name)
            wanted += facts()["entities"].get(name, {}).values()
    return found


_FORMATS: Final[Mapping[str, dict[str, Any]]] = {
    "int32": {"minimum": -(2**31), "maximum": 2**31 - 1},
    "int64": {"minimum": -(2**63), "maximum": 2**63 - 1},
    "uint8": {"minimum": 0, "maximum": 255},
    "date-time": {
        "pattern": r"^\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\d(\.\d{1,12})?(Z|[+-]\d\d:\d\d)$"
    },
    "time": {"pattern": r"^[0-2]\d:[0-5]\d:[0-5]\d(\.\d{1,12})?$"},
    "duration": {"pattern": r"^-?P"},
    "uuid": {"pattern": r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"},
}


def _entity(properties: Mapping[str, str]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            name: _json_schema(text.removeprefix("nav ")) for name, text in properties.items()
        },
        "patternProperties": {"@odata\\.": {}},
        "additionalProperties": False,
    }


def _json_schema(text: str) -> dict[str, Any]:
    if text.endswith("?"):
        return {"anyOf": [_json_schema(text[:-1]), {"type": "null"}]}
    if text.startswith("["):
        return {"type": "array", "items": _json_schema(text[1:-1])}
    if text.startswith("Pbx."):
        return {"$ref": f"#/$defs/{text}"}
    kind, _, form = text.partition(":")
    if form == "decimal":
        return {"type": "number"}
    return {"type": kind, **(_FORMATS[form] if form else {})}
