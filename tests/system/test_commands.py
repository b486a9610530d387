"""Test every documented command over HTTP, Redis and the monitor at a simulated PBX."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import pytest_asyncio

from gateway import run as gateway_run
from gateway.auth.api_keys import ApiKey, KeyTable, sha256_hex
from gateway.config import GatewaySection, StreamSection
from gateway.operations.operation_table import COMMANDS, Command, Run
from gateway.parameters import Arguments
from gateway.stream_client import StreamClient
from gateway.visibility import Limits
from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from tests.bus import fake_bus, only
from tests.system.stack import PBX, monitoring

ADMIN, READER, LIMITED, TEAM = "administrators-key", "readers-key", "limited-key", "teams-key"
ALL_SCOPES = frozenset({"read", "contacts", "control", "admin", "sql"})
CHANGING = [
    command for command in COMMANDS.values() if command.query is None and command.name != "query"
]


@dataclass(slots=True)
class Desk:
    """A site in this loop: PBX, monitor, gateway, and a client."""

    pbx: SimulatedPbx
    http: httpx.AsyncClient

    async def ask(self, command: str, key: str = ADMIN, **parameters: str) -> httpx.Response:
        return await self.http.get(f"/webapi/{key}/{command}", params=parameters)

    async def said(self, command: str, **parameters: str) -> dict[str, Any]:
        answer = await self.ask(command, **parameters)
        assert answer.status_code == 200, answer.text
        said: dict[str, Any] = answer.json()
        return said


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk() -> AsyncIterator[Desk]:
    async with site() as found:
        yield found


@asynccontextmanager
async def site() -> AsyncIterator[Desk]:
    keys = [
        ApiKey("admin", sha256_hex(ADMIN), PBX, ALL_SCOPES),
        ApiKey("reader", sha256_hex(READER), PBX, frozenset({"read"})),
        ApiKey(
            "limited",
            sha256_hex(LIMITED),
            PBX,
            ALL_SCOPES,
            None,
            Limits(extensions=frozenset({"101"})),
        ),
        ApiKey(
            "team",
            sha256_hex(TEAM),
            PBX,
            ALL_SCOPES,
            None,
            Limits(frozenset({"101"}), frozenset({"800"})),
        ),
    ]
    settings = SimulatorSettings(extensions=20, queues=3, traffic=False)
    async with (
        SimulatedPbx(settings) as pbx,
        fake_bus() as bus,
        monitoring(pbx, bus.client()),
        gateway_run.serving(
            [PBX],
            KeyTable(keys),
            GatewaySection(port=0, stream=StreamSection(drain_time=0)),
            only(bus.client()),
        ) as server,
        httpx.AsyncClient(base_url=server.address, timeout=60) as http,
    ):
        found = Desk(pbx, http)
        await until_ready(found)
        yield found


async def until_ready(desk: Desk) -> None:
    async def ready() -> bool:
        answer = await desk.http.get("/readyz")
        contacts = await desk.ask("contact.get", id=str(next(iter(desk.pbx.directory.contacts))))
        return answer.status_code == 200 and contacts.status_code == 200

    ready_now = False
    while not ready_now:
        ready_now = await ready()


@dataclass(frozen=True, slots=True)
class Case:
    """A command that succeeds, and the query that then shows what it changed."""

    command: str
    given: Mapping[str, str]
    query: str
    asked: Mapping[str, str]
    shows: Mapping[str, Any]
    reply: Mapping[str, Any] = field(default_factory=dict)


def me(**fields: Any) -> tuple[str, Mapping[str, str], Mapping[str, Any]]:
    return "ext.info.get", {"num": "101"}, fields


CASES = [
    Case(
        "ext.fwd.set",
        {"num": "101", "status": "Away", "message": "Back at 3"},
        "ext.state.get",
        {"num": "101"},
        {"fwdName": "Away"},
    ),
    Case(
        "ext.fwd.set",
        {"num": "101", "status": "do not disturb"},
        "ext.state.get",
        {"num": "101"},
        {"fwdName": "Out of office"},
    ),
    Case(
        "ext.fwd.set",
        {"num": "101", "status": "Available"},
        "ext.state.get",
        {"num": "101"},
        {"fwdName": "Available"},
    ),
    Case(
        "ext.queueglobal.set",
        {"num": "101", "log": "off"},
        "ext.state.get",
        {"num": "101"},
        {"qGlobalStatus": "LoggedOut"},
    ),
    Case(
        "ext.queueglobal.set",
        {"num": "101", "log": "on"},
        "ext.state.get",
        {"num": "101"},
        {"qGlobalStatus": "LoggedIn"},
    ),
    Case(
        "ext.options.set",
        {"num": "101", "enabled": "off", "recording": "external"},
        *me(enabled=0, recordcalls=1),
    ),
    Case(
        "ext.options.set",
        {"num": "101", "enabled": "on", "recording": "all"},
        *me(enabled=1, recordcalls=2),
    ),
    Case(
        "ext.options.set",
        {"num": "101", "external": "off", "recording": "off"},
        *me(internal=1, recordcalls=0),
    ),
    Case("ext.options.set", {"num": "101", "external": "on"}, *me(internal=0)),
    Case(
        "ext.update",
        {"num": "101", "firstname": "Ольга", "lastname": "O'Neil, Dr."},
        *me(name="Ольга", lastname="O'Neil, Dr."),
    ),
    Case(
        "ext.update",
        {"num": "101", "email": "o@example.com", "mobile": "+1 515 555 0100"},
        *me(email="o@example.com", mobile="+1 515 555 0100"),
    ),
    Case(
        "ext.update",
        {"num": "101", "authid": "a17", "authpass": "s3cret", "sipid": "olga"},
        *me(authid="a17", sipid="olga"),
    ),
    Case(
        "ext.update",
        {"num": "101", "callerid": "5155550100", "deliveraudio": "1"},
        *me(callerid="5155550100", deliveraudio=1),
    ),
    *(
        Case("ext.update", {"num": "101", "recordcalls": str(n)}, *me(recordcalls=n))
        for n in range(3)
    ),
    *(Case("ext.update", {"num": "101", "vmemail": str(n)}, *me(vmemail=n)) for n in range(4)),
    *(
        Case("ext.update", {"num": "101", "vmplaydatetime": str(n)}, *me(vmplaydatetime=n))
        for n in range(3)
    ),
    *(
        Case(
            "ext.update",
            {"num": "101", "vmenabled": str(n), "vmplaycallerid": str(n), "internal": str(n)},
            *me(vmenabled=n, vmplaycallerid=n, internal=n),
        )
        for n in (1, 0)
    ),
    Case(
        "ext.update",
        {"num": "101", "vmpin": "1234", "noanswertimeout": "17"},
        *me(noanswertimeout=17),
    ),
    Case(
        "ext.update",
        {"num": "101", "firstname": "Olga", "reinvite": "1"},
        *me(name="Olga"),
        {"unsupported": ["reinvite"]},
    ),
    Case(
        "ext.new",
        {"num": "177", "firstname": "New", "noanswertimeout": "23"},
        "ext.info.get",
        {"num": "177"},
        {"num": "177", "name": "New", "noanswertimeout": 23},
    ),
    Case("ext.del", {"num": "177"}, "extgroup.members.get", {"name": "DEFAULT"}, {}),
    Case(
        "queue.agents.set",
        {"num": "800", "agents": "103,101,102"},
        "queue.members.get",
        {"num": "800"},
        {"nums": ["103", "101", "102"]},
    ),
    Case(
        "ext.queue.set",
        {"num": "101", "queue": "800", "log": "off"},
        "ext.state.get",
        {"num": "101"},
        {"num": "101"},
    ),
    Case(
        "queue.managers.set",
        {"num": "800", "managers": "104"},
        "queue.managers.get",
        {"num": "800"},
        {"nums": ["104"]},
    ),
    Case(
        "queue.managers.set",
        {"num": "800", "managers": ""},
        "queue.managers.get",
        {"num": "800"},
        {"nums": []},
    ),
    Case(
        "group.members.set",
        {"num": "600", "members": "105, 104"},
        "group.members.get",
        {"num": "600"},
        {"nums": ["105", "104"]},
    ),
]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case.command} {' '.join(case.given.values())}"
)
async def test_a_command_does_what_it_says_and_the_next_query_shows_it(
    desk: Desk, case: Case
) -> None:
    assert await desk.said(case.command, **case.given) == {"result": True, **case.reply}
    shown = await desk.said(case.query, **case.asked)
    assert {name: shown[name] for name in case.shows} == case.shows


@pytest.mark.asyncio(loop_scope="module")
async def test_a_login_to_one_queue_is_shown_for_that_queue_alone(desk: Desk) -> None:
    for queue in ("800", "801"):
        await desk.said("queue.agents.set", num=queue, agents="106,107")
    for word, status in (("off", "LoggedOut"), ("on", "LoggedIn")):
        await desk.said("ext.queue.set", num="106", queue="800", log=word)
        logins = {
            login["num"]: login["status"]
            for login in (await desk.said("ext.state.get", num="106"))["qStatus"]
        }
        assert (logins["800"], logins["801"]) == (status, "LoggedIn")
        assert ("106" in (await desk.said("queue.free.get", num="800"))["nums"]) <= (word == "on")


@pytest.mark.asyncio(loop_scope="module")
async def test_a_contact_is_made_found_changed_and_deleted(desk: Desk) -> None:
    made = await desk.said(
        "contact.new", firstname="Ann", company="Acme", phone="+1 (515) 555-0177", data7="5550178"
    )
    contact = str(made["id"])
    assert made == {"result": True, "id": int(contact)}
    assert (await desk.said("contact.find", num="15155550177"))["ids"] == [int(contact)]
    updated = await desk.said(
        "contact.update", id=contact, lastname="Smith", tag="vip", data2="1", phone="5550179"
    )
    assert updated == {"result": True, "unsupported": ["data2"]}
    held = await desk.said("contact.get", id=contact)
    assert (held["lastname"], held["tag"], held["phone"], held["data7"]) == (
        "Smith",
        "vip",
        "5550179",
        "5550178",
    )
    assert (await desk.said("contact.find", num="15155550177"))["ids"] == []
    assert await desk.said("contact.del", id=contact) == {"result": True}
    assert (await desk.ask("contact.get", id=contact)).status_code == 404


@pytest.mark.asyncio(loop_scope="module")
async def test_makecall_rings_and_is_seen_in_the_next_query(desk: Desk) -> None:
    usable = next(
        n for n in desk.pbx.directory.extensions() if len(desk.pbx.directory.devices(n)) == 1
    )
    other = next(
        n for n in desk.pbx.directory.extensions() if n != usable and desk.pbx.directory.devices(n)
    )
    made = await desk.said("makecall", first=usable, second=other)
    assert (made["result"], made["finalStatus"]) == (True, "Success")
    calls = (await desk.said("pbx.callsinfo.get"))["callsInfo"]
    assert made["callid"] in {call["callID"] for call in calls}
    for call in desk.pbx.switchboard.active_calls():
        desk.pbx.switchboard.drop_call(call.id)


FAILURES = [
    ("ext.fwd.set", {"num": "999", "status": "Away"}, 404, "unknown_extension"),
    ("ext.fwd.set", {"num": "102", "status": "Sleeping"}, 400, "unknown_status"),
    ("ext.queueglobal.set", {"num": "999", "log": "on"}, 404, "unknown_extension"),
    ("ext.queue.set", {"num": "999", "queue": "800", "log": "on"}, 404, "unknown_extension"),
    ("ext.queue.set", {"num": "102", "queue": "999", "log": "on"}, 404, "unknown_queue"),
    ("ext.options.set", {"num": "999", "enabled": "on"}, 404, "unknown_extension"),
    ("ext.update", {"num": "999", "firstname": "x"}, 404, "unknown_extension"),
    ("ext.update", {"num": "102"}, 400, "nothing_to_set"),
    ("ext.update", {"num": "102", "reinvite": "1", "replaces": "0"}, 409, "unsupported"),
    ("ext.new", {"num": "102"}, 409, "already_exists"),
    ("ext.new", {"num": "800"}, 409, "already_exists"),
    ("ext.del", {"num": "999"}, 404, "unknown_extension"),
    ("queue.agents.set", {"num": "999", "agents": "102"}, 404, "unknown_queue"),
    ("queue.agents.set", {"num": "802", "agents": "102,998,999"}, 404, "unknown_extension"),
    ("queue.managers.set", {"num": "999", "managers": "102"}, 404, "unknown_queue"),
    ("queue.managers.set", {"num": "802", "managers": "999"}, 404, "unknown_extension"),
    ("group.members.set", {"num": "999", "members": "102"}, 404, "unknown_group"),
    ("group.members.set", {"num": "601", "members": "999"}, 404, "unknown_extension"),
    ("contact.update", {"id": "999999", "tag": "x"}, 404, "unknown_contact"),
    ("contact.update", {"id": "1", "data8": "1"}, 409, "unsupported"),
    ("contact.new", {}, 400, "nothing_to_set"),
    ("contact.new", {"firstname": "Ann"}, 400, "contact_needs_phone"),
    ("contact.new", {"phone": "5550100"}, 400, "contact_needs_name"),
    ("contact.del", {"id": "999999"}, 404, "unknown_contact"),
    ("makecall", {"first": "198", "second": "101"}, 404, "unknown_extension"),
    ("query", {"query": "select 1"}, 409, "sql_not_configured"),
]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("command", "given", "status", "code"), FAILURES, ids=lambda value: str(value)[:60]
)
async def test_a_failure_has_its_status_its_code_and_a_sentence_and_changes_nothing(
    desk: Desk, command: str, given: dict[str, str], status: int, code: str
) -> None:
    before = repr(
        (desk.pbx.directory.users, desk.pbx.directory.queues, desk.pbx.directory.contacts)
    )
    answer = await desk.http.post(f"/webapi/{ADMIN}/{command}", json=given)
    said = answer.json()
    assert (answer.status_code, said["result"], said["error"]["code"]) == (status, False, code)
    assert said["error"]["message"].endswith((".", ")"))
    assert (
        repr((desk.pbx.directory.users, desk.pbx.directory.queues, desk.pbx.directory.contacts))
        == before
    )


def _request(
    http: httpx.AsyncClient, form: str, command: str, given: dict[str, str]
) -> httpx.Request:
    """The same request by one form of address and method."""
    where, _, how = form.partition(" ")
    path = {"path": f"/webapi/{ADMIN}/{command}"}.get(where, f"/webapi/{command}")
    headers = {"bearer": {"Authorization": f"Bearer {ADMIN}"}, "header": {"X-API-Key": ADMIN}}.get(
        where, {}
    )
    key = {"key": ADMIN} if where == "query" else {}
    match how:
        case "GET":
            return http.build_request("GET", path, params=given | key, headers=headers)
        case "POST query":
            return http.build_request("POST", path, params=given | key, headers=headers)
        case "POST form":
            return http.build_request("POST", path, params=key, data=given, headers=headers)
        case _:
            return http.build_request("POST", path, params=key, json=given, headers=headers)


FORMS = [
    f"{where} {how}"
    for where in ("path", "query", "bearer", "header")
    for how in ("GET", "POST query", "POST form", "POST json")
]
EXAMPLES: dict[str, dict[str, str]] = {
    "makecall": {"first": "998", "second": "101"},
    "ext.fwd.set": {"num": "102", "status": "Away"},
    "ext.queueglobal.set": {"num": "102", "log": "on"},
    "ext.queue.set": {"num": "102", "queue": "999", "log": "on"},
    "ext.options.set": {"num": "102", "enabled": "on"},
    "ext.update": {"num": "102", "firstname": "x"},
    "ext.new": {"num": "102"},
    "ext.del": {"num": "999"},
    "queue.agents.set": {"num": "802", "agents": "102,103"},
    "queue.managers.set": {"num": "802", "managers": "102"},
    "group.members.set": {"num": "601", "members": "102"},
    "contact.update": {"id": "999999", "tag": "x"},
    "contact.new": {"firstname": "x"},
    "contact.del": {"id": "999999"},
}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("command", CHANGING, ids=lambda command: command.name)
async def test_a_command_is_the_same_by_every_form_of_address_and_method(
    desk: Desk, command: Command
) -> None:
    answers = [
        await desk.http.send(_request(desk.http, form, command.name, EXAMPLES[command.name]))
        for form in FORMS
    ]
    assert {(answer.status_code, answer.text) for answer in answers} == {
        (answers[0].status_code, answers[0].text)
    }
    assert answers[0].json()["result"] in (True, False)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("command", CHANGING, ids=lambda command: command.name)
async def test_each_bad_parameter_is_named_with_what_came_and_what_is_allowed(
    desk: Desk, command: Command
) -> None:
    good = EXAMPLES[command.name]
    for parameter in command.parameters:
        if parameter.kind in ("choice", "whole", "dn"):
            bad = await desk.ask(command.name, **(good | {parameter.name: "no/such"}))
            assert (bad.status_code, bad.json()["error"]["code"]) == (400, "bad_parameter")
            assert parameter.name in bad.json()["error"]["message"]
            assert "no/such" in bad.json()["error"]["message"]
            assert parameter.takes in bad.json()["error"]["message"]
        if parameter.required:
            missing = await desk.ask(
                command.name, **{name: good[name] for name in good if name != parameter.name}
            )
            assert (missing.status_code, missing.json()["error"]["code"]) == (
                400,
                "missing_parameter",
            )
    unknown = await desk.ask(command.name, **(good | {"nunm": "1"}))
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (400, "unknown_parameter")
    refused = await desk.ask(command.name, READER, **good)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "scope_missing")


@pytest.mark.asyncio(loop_scope="module")
async def test_a_limited_key_changes_nothing_beyond_its_limits(desk: Desk) -> None:
    own = await desk.ask("ext.fwd.set", LIMITED, num="101", status="Available")
    assert own.json() == {"result": True}
    other = await desk.ask("ext.fwd.set", LIMITED, num="102", status="Away")
    assert (other.status_code, other.json()["error"]["code"]) == (404, "unknown_extension")
    beyond = await desk.ask("contact.del", LIMITED, id="1")
    assert (beyond.status_code, beyond.json()["error"]["code"]) == (403, "key_limited")
    usable = (await desk.http.get(f"/webapi/{LIMITED}/")).json()["commands"]
    assert {"ext.new", "contact.del", "query", "pbx.stats.get"}.isdisjoint(usable)
    assert {"ext.fwd.set", "ext.del", "makecall", "pbx.calls.get", "contact.find"} <= set(usable)
    for command in set(COMMANDS) - set(usable):
        given = EXAMPLES.get(command, {"query": "select 1"} if command == "query" else {})
        refused = await desk.http.post(f"/webapi/{LIMITED}/{command}", data=given)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "key_limited")
    queue = await desk.ask("ext.queue.set", LIMITED, num="101", queue="800", log="on")
    assert (queue.status_code, queue.json()["error"]["code"]) == (404, "unknown_queue")


@pytest.mark.asyncio(loop_scope="module")
async def test_a_limited_key_keeps_the_members_whom_it_does_not_see(desk: Desk) -> None:
    before = (await desk.ask("queue.members.get", ADMIN, num="800")).json()["nums"]
    assert len(set(before) - {"101"}) > 1
    for given, wanted in (("101", {*before, "101"}), ("", set(before) - {"101"})):
        answer = await desk.ask("queue.agents.set", TEAM, num="800", agents=given)
        assert answer.json() == {"result": True}
        assert set((await desk.ask("queue.members.get", ADMIN, num="800")).json()["nums"]) == wanted
        assert (await desk.ask("queue.members.get", TEAM, num="800")).json()["nums"] == (
            [given] if given else []
        )
    unseen = await desk.ask("queue.agents.set", TEAM, num="800", agents="102")
    assert (unseen.status_code, unseen.json()["error"]["code"]) == (404, "unknown_extension")
    forged = await desk.ask("queue.agents.set", TEAM, num="800", agents="101", visible="102")
    assert (forged.status_code, forged.json()["error"]["code"]) == (400, "unknown_parameter")


@pytest.mark.asyncio(loop_scope="module")
async def test_e_mail_mobile_and_sip_id_are_for_keys_with_contacts(desk: Desk) -> None:
    await desk.ask(
        "ext.update", ADMIN, num="101", email="a@example.com", mobile="5550100", authid="sip101"
    )
    whole = (await desk.ask("ext.info.get", ADMIN, num="101")).json()
    assert (whole["email"], whole["mobile"], whole["authid"]) == (
        "a@example.com",
        "5550100",
        "sip101",
    )
    seen = (await desk.ask("ext.info.get", READER, num="101")).json()
    assert seen == whole | {"email": "", "mobile": "", "authid": ""}
    stream = str(desk.http.base_url.copy_with(scheme="ws", path="/webapi/stream"))
    for key, shown in ((READER, ""), (ADMIN, "a@example.com")):
        async with StreamClient(stream, key, ["extensions"]) as client:
            await anext(aiter(client))
            assert client.state["extensions"]["101"]["email"] == shown


@pytest.mark.asyncio(loop_scope="module")
async def test_an_idempotency_key_repeats_the_answer_and_not_the_deed(desk: Desk) -> None:
    headers = {"Idempotency-Key": "7f3c"}
    contact = {"firstname": "Once", "phone": "5550111"}
    made = [
        await desk.http.post(f"/webapi/{ADMIN}/contact.new", data=contact, headers=headers)
        for _ in range(3)
    ]
    assert len({answer.text for answer in made}) == 1
    assert [answer.headers.get("Idempotent-Replayed") for answer in made] == [None, "true", "true"]
    assert len([c for c in desk.pbx.directory.contacts.values() if c["FirstName"] == "Once"]) == 1
    other = await desk.http.post(
        f"/webapi/{ADMIN}/contact.new", data={"firstname": "Other"}, headers=headers
    )
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_key_reused")
    bad = await desk.http.post(
        f"/webapi/{ADMIN}/contact.new", headers={"Idempotency-Key": "has space"}
    )
    assert (bad.status_code, bad.json()["error"]["code"]) == (400, "bad_parameter")


@pytest.mark.asyncio(loop_scope="module")
async def test_an_idempotency_key_holds_for_each_part_of_a_command_of_ones_own(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def both(run: Run, arguments: Arguments) -> list[int]:
        return [
            (await run("contact.new", company=name, phone="5550112"))["id"]
            for name in ("Part", "Part")
        ]

    monkeypatch.setitem(
        COMMANDS, "site.both", Command("site.both", "admin", "two of them", composition=both)
    )
    headers = {"Idempotency-Key": "both"}
    made = [await desk.http.post(f"/webapi/{ADMIN}/site.both", headers=headers) for _ in range(2)]
    assert made[0].json() == made[1].json()
    assert sorted(made[0].json()) == [
        id_ for id_, c in desk.pbx.directory.contacts.items() if c["CompanyName"] == "Part"
    ]
    assert len(set(made[0].json())) == 2


@pytest.mark.asyncio(loop_scope="module")
async def test_a_query_may_ask_for_the_position_that_a_command_told(desk: Desk) -> None:
    done = await desk.ask("ext.update", num="103", firstname="Position")
    position = done.headers["Callmon-Position"]
    path = f"/webapi/{ADMIN}/ext.info.get?num=103"
    answer = await desk.http.get(path, headers={"Callmon-Min-Position": position})
    assert answer.json()["name"] == "Position"
    epoch, _, seq = position.partition("/")
    ahead = await desk.http.get(
        path, headers={"Callmon-Min-Position": f"{epoch}/{int(seq) + 1_000_000}"}
    )
    assert (ahead.status_code, ahead.json()["error"]["code"]) == (504, "position_not_reached")
    bad = await desk.http.get(path, headers={"Callmon-Min-Position": "yesterday"})
    assert (bad.status_code, bad.json()["error"]["code"]) == (400, "bad_parameter")


@pytest.mark.asyncio(loop_scope="module")
async def test_a_pbx_that_is_away_is_told_as_such(desk: Desk) -> None:
    desk.pbx.faults.answer_with(429, 1_000, "/xapi")  # a poll may come first
    try:
        answer = await desk.ask("ext.update", num="103", firstname="Nobody")
    finally:
        desk.pbx.faults.calm()
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "pbx_unreachable")
    assert "Retry-After" in answer.headers
