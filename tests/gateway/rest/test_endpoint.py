"""The documented interface over ASGI: every query by every form of address, and every refusal."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest

from gateway.auth.api_keys import KeyTable
from gateway.operations.operation_table import COMMANDS
from monitor.shared.changes import Change, Edit, Position
from monitor.shared.entities.topics import Contact
from tests.gateway.documented import ANSWERS
from tests.gateway.world import (
    ALL_SCOPES,
    BARE,
    EXPIRED,
    FULL,
    LIMITED,
    OTHER,
    READ,
    client,
    error,
    key,
    message,
    view,
)

Form = tuple[str, str, dict[str, str], dict[str, str]]


def forms(command: str, key: str) -> list[Form]:
    """Every documented form of address: its name, path, further parameters, headers."""
    return [
        ("key in the path", f"/webapi/{key}/{command}", {}, {}),
        ("key in the query", f"/webapi/{command}", {"key": key}, {}),
        ("key in path and query", f"/webapi/{key}/{command}", {"key": key}, {}),
        ("key in the query, short", f"/{command}", {"key": key}, {}),
        ("bearer", f"/webapi/{command}", {}, {"Authorization": f"Bearer {key}"}),
        ("bearer, small", f"/webapi/{command}", {}, {"authorization": f"bearer  {key}"}),
        ("header", f"/webapi/{command}", {}, {"X-API-Key": key}),
    ]


IDENTITY = {"Accept-Encoding": "identity"}
FORMS = [form[0] for form in forms("", "")]
CASES = [pytest.param(*answer, id=f"{answer[0]} {answer[1]}") for answer in ANSWERS]


def test_every_query_of_the_table_has_a_documented_answer_here() -> None:
    assert {command for command, _, _ in ANSWERS} == {
        name for name, command in COMMANDS.items() if command.query
    }


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("command", "params", "answer"), CASES)
async def test_every_query_answers_in_its_documented_shape_by_every_form_of_address(
    http: httpx.AsyncClient, form: str, command: str, params: dict[str, str], answer: str
) -> None:
    _, path, more, headers = next(one for one in forms(command, FULL) if one[0] == form)
    got = await http.get(path, params=params | more, headers=headers)
    assert (got.status_code, got.text) == (200, answer)
    assert got.headers["content-type"] == "application/json"
    head = await http.head(path, params=params | more, headers=headers)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == got.headers["content-length"]
    plain = await http.head(path, params=params | more, headers=headers | IDENTITY)
    assert plain.headers["content-length"] == str(len(answer.encode()))
    assert head.headers["etag"] == got.headers["etag"]
    posts: list[dict[str, Any]] = [
        {"params": params | more},
        {"data": params | more},
        {"json": params | more},
        {"files": {name: (None, value) for name, value in (params | more).items()}},
    ]
    for post in posts if params or more else posts[:1]:
        posted = await http.post(path, headers=headers, **post)
        assert (posted.status_code, posted.text) == (200, answer)


_INSTANT = re.compile(r"(\d\d:\d\d:\d\d)\.\d{3}Z")


@pytest.mark.parametrize(("command", "params", "answer"), CASES)
async def test_every_query_answers_in_whole_seconds_if_it_or_its_key_says_so(
    http: httpx.AsyncClient, command: str, params: dict[str, str], answer: str
) -> None:
    cut = _INSTANT.sub(r"\1Z", answer)
    path = f"/webapi/{FULL}/{command}"
    assert (await http.get(path, params=params | {"time": "seconds"})).text == cut
    assert (await http.post(path, json=params | {"time": "seconds"})).text == cut
    assert (await http.get(path, params=params | {"time": "milliseconds"})).text == answer
    assert (await http.get(path, params=params | {"time": ""})).text == answer
    short = KeyTable([key(FULL, ALL_SCOPES, time="seconds")])
    async with client(table=short) as its:
        assert (await its.get(path, params=params)).text == cut
        assert (await its.get(path, params=params | {"time": ""})).text == cut
        assert (await its.get(path, params=params | {"time": "milliseconds"})).text == answer


async def test_instants_in_the_originals_form_are_the_documents_own() -> None:
    async with client() as http:
        said = (await http.get(f"/webapi/{FULL}/pbx.callsinfo.get?time=seconds")).json()
    times = [(call["startedAt"], call["answeredAt"]) for call in said["callsInfo"]]
    assert ("2022-12-29T08:37:16Z", "2022-12-29T08:37:23Z") in times


async def test_a_text_that_looks_like_an_instant_stays_as_it_is() -> None:
    pbx = view()
    name = '","startedAt":"2026-03-04T03:15:00.123Z'
    contact = Contact(77, firstname=name, lastname="2026-03-04T03:15:00.123Z")
    assert pbx.book.position is not None
    at = Position(pbx.book.position.epoch, pbx.book.position.seq + 1)
    edit = Edit("contacts", "77", None, contact)
    pbx.book.apply(Change(at, "2026-03-04T03:15:00.000Z", (edit,)))
    async with client(pbx) as http:
        said = (await http.get(f"/webapi/{FULL}/contact.get?id=77&time=seconds")).json()
    assert (said["firstname"], said["lastname"]) == (name, "2026-03-04T03:15:00.123Z")


async def test_the_form_of_instants_is_for_queries_and_one_of_two_words(
    http: httpx.AsyncClient,
) -> None:
    for path, code, words in (
        ("pbx.calls.get?time=second", "bad_parameter", "one of milliseconds, seconds"),
        ("pbx.calls.get?time=seconds&time=seconds", "duplicate_parameter", "'time'"),
        ("ext.del?num=101&time=seconds", "unknown_parameter", "it takes num"),
    ):
        refused = await http.get(f"/webapi/{FULL}/{path}")
        assert (refused.status_code, error(refused)) == (400, code)
        assert words in message(refused)


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (f"/webapi/{READ}/", {}),
        (f"/webapi/{READ}", {}),
        ("/webapi/", {"Authorization": f"Bearer {READ}"}),
        ("/webapi", {"X-API-Key": READ}),
        (f"/webapi/?key={READ}", {}),
        (f"/webapi/{READ}?key={READ}", {}),
    ],
)
async def test_the_bare_address_says_what_this_is_and_what_the_key_may_use(
    http: httpx.AsyncClient, path: str, headers: dict[str, str]
) -> None:
    got = await http.get(path, headers=headers)
    assert got.status_code == 200
    body = got.json()
    known = ["product", "version", "concurrentCalls", "pbx", "pbxVersion", "timeZone"]
    assert list(body) == [*known, "scopes", "commands"]
    assert (body["product"], body["concurrentCalls"], body["pbx"], body["scopes"]) == (
        "callmon",
        32,
        "main",
        ["read"],
    )
    assert body["commands"] == [
        name for name, command in COMMANDS.items() if command.scope == "read"
    ]
    assert "callmon-position" in got.headers


async def test_a_key_without_scopes_may_ask_what_this_is_and_nothing_else(
    http: httpx.AsyncClient,
) -> None:
    assert (await http.get(f"/webapi/{BARE}/")).json()["commands"] == []
    assert error(await http.get(f"/webapi/{BARE}/pbx.calls.get")) == "scope_missing"


@pytest.mark.parametrize(
    ("path", "status", "code", "said"),
    [
        (f"/webapi/{FULL}/pbx.call.get", 404, "unknown_command", "Did you mean pbx.calls.get?"),
        (f"/webapi/{FULL}/PBX.CALLS.GET", 404, "unknown_command", "Did you mean pbx.calls.get?"),
        (f"/webapi/{FULL}/pbx.calls.get/more", 404, "unknown_command", ""),
        (f"/webapi/nothing.get?key={FULL}", 404, "unknown_command", "'nothing.get'"),
        (f"/webapi/{FULL}/stream", 426, "upgrade_required", "WebSocket"),
        (f"/webapi/{FULL}/events", 404, "unknown_command", "for GET requests"),
        (f"/webapi/{FULL}/ticket", 404, "unknown_command", "for POST requests"),
        ("/nowhere", 404, "unknown_command", "/webapi/"),
        ("/no/where", 404, "unknown_command", ""),
        (f"/webapi/{FULL}/pbx.calls.get?nmu=1", 400, "unknown_parameter", "it takes time"),
        (f"/webapi/{FULL}/ext.info.get?nmu=1", 400, "unknown_parameter", "Did you mean 'num'?"),
        (f"/webapi/{FULL}/ext.info.get?NUM=99", 400, "unknown_parameter", "Did you mean 'num'?"),
        (f"/webapi/{FULL}/ext.info.get", 400, "missing_parameter", "'num' is missing"),
        (f"/webapi/{FULL}/ext.info.get?num=", 400, "missing_parameter", "'num' is empty"),
        (f"/webapi/{FULL}/ext.info.get?num=99&num=99", 400, "duplicate_parameter", "'num'"),
        (f"/webapi/{FULL}/ext.info.get?num=9%209", 400, "bad_parameter", "num = '9 9' was given"),
        (f"/webapi/{FULL}/ext.info.get?num=9%00", 400, "bad_parameter", r"'9\x00'"),
        (f"/webapi/{FULL}/ext.info.get?num=%FF", 400, "bad_body", "UTF-8"),
        (f"/webapi/{FULL}/contact.get?id=-1", 400, "bad_parameter", "a whole number from 0 to"),
        (f"/webapi/{FULL}/contact.get?id=1e3", 400, "bad_parameter", ""),
        (f"/webapi/{FULL}/contact.get?id=99999999999999999999", 400, "bad_parameter", ""),
        (f"/webapi/{FULL}/contact.find?num=abc", 400, "bad_parameter", "at least one digit"),
        (
            f"/webapi/{FULL}/contact.find?num=1&min_len=x",
            400,
            "bad_parameter",
            "min_len = 'x' was given",
        ),
        (
            f"/webapi/{FULL}/?num=1",
            400,
            "unknown_parameter",
            "The bare address takes no parameters",
        ),
        (
            f"/webapi/{FULL}/ext.queue.set?num=99&queue=800&log=maybe",
            400,
            "bad_parameter",
            "one of on, off",
        ),
        (
            f"/webapi/{FULL}/ext.options.set?num=99",
            400,
            "missing_parameter",
            "at least one of enabled, external, rec",
        ),
        (f"/webapi/{FULL}/ext.update?num=99&vmemail=4", 400, "bad_parameter", "one of 0, 1, 2, 3"),
        (
            f"/webapi/{FULL}/queue.agents.set?num=800&agents=1,,2",
            400,
            "bad_parameter",
            "separated by commas",
        ),
        (
            f"/webapi/{FULL}/pbx.calls.get?" + "&".join(f"p{n}=1" for n in range(150)),
            400,
            "bad_parameter",
            "",
        ),
        (f"/webapi/{FULL}/ext.info.get?num=555", 404, "unknown_extension", "'555'"),
        (f"/webapi/{FULL}/ext.state.get?num=800", 404, "unknown_extension", ""),
        (f"/webapi/{FULL}/queue.members.get?num=99", 404, "unknown_queue", ""),
        (f"/webapi/{FULL}/queue.managers.get?num=1", 404, "unknown_queue", ""),
        (f"/webapi/{FULL}/queue.free.get?num=1", 404, "unknown_queue", ""),
        (f"/webapi/{FULL}/queue.talk.get?num=1", 404, "unknown_queue", ""),
        (f"/webapi/{FULL}/queue.isfree.get?num=1", 404, "unknown_queue", ""),
        (f"/webapi/{FULL}/group.members.get?num=800", 404, "unknown_group", ""),
        (f"/webapi/{FULL}/group.free.get?num=800", 404, "unknown_group", ""),
        (f"/webapi/{FULL}/extgroup.members.get?name=sales", 404, "unknown_extgroup", "'sales'"),
        (f"/webapi/{FULL}/contact.get?id=13", 404, "unknown_contact", "13"),
        ("/webapi/pbx.calls.get", 401, "key_missing", "X-API-Key"),
        ("/webapi/", 401, "key_missing", ""),
        ("/webapi/wrong-key-wrong-key/pbx.calls.get", 401, "key_unknown", ""),
        ("/webapi/wrong-key-wrong-key/", 401, "key_unknown", ""),
        ("/webapi/pbx.calls.get?key=%ED%A0%80", 400, "bad_body", ""),
        ("/webapi/pbx.calls.get?key=" + "x" * 5000, 401, "key_unknown", ""),
        (f"/webapi/{EXPIRED}/pbx.calls.get", 401, "key_expired", "2026-03-04T03:15:00.000Z"),
        (f"/webapi/{READ}/pbx.calls.get?key={FULL}", 400, "key_ambiguous", ""),
        (f"/webapi/{OTHER}/pbx.calls.get", 404, "unknown_pbx", ""),
        (f"/webapi/{READ}/contact.get?id=12", 403, "scope_missing", "'contacts'"),
        (f"/webapi/{READ}/contact.get", 403, "scope_missing", "'contacts'"),
    ],
)
async def test_what_is_wrong_is_refused_in_words(
    http: httpx.AsyncClient, path: str, status: int, code: str, said: str
) -> None:
    got = await http.get(path)
    assert (got.status_code, error(got)) == (status, code)
    assert said in message(got)
    assert ("www-authenticate" in got.headers) is (status == 401)
    assert FULL not in got.text
    head = await http.head(path)
    assert (head.status_code, head.content) == (405 if "HEAD" not in methods(path) else status, b"")


def methods(path: str) -> tuple[str, ...]:
    command = COMMANDS.get(path.partition("?")[0].rpartition("/")[2])
    return ("HEAD",) if command is None else command.methods


async def test_the_key_is_judged_before_the_command(http: httpx.AsyncClient) -> None:
    assert error(await http.get("/webapi/wrong-key-wrong-key/nothing.get?x=1")) == "key_unknown"


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_other_methods_are_told_which_ones_work(http: httpx.AsyncClient, method: str) -> None:
    got = await http.request(method, f"/webapi/{FULL}/pbx.calls.get")
    assert (got.status_code, error(got), got.headers["allow"]) == (
        405,
        "wrong_method",
        "GET, HEAD, POST",
    )
    assert message(got) == f"{method} does not work here; GET, HEAD and POST work."
    bare = await http.request(method, f"/webapi/{FULL}/")
    assert (bare.status_code, bare.headers["allow"]) == (405, "GET, HEAD")
    page = await http.request(method, "/healthz")
    assert (page.status_code, error(page)) == (405, "wrong_method")
    assert "GET" in page.headers["allow"]


@pytest.mark.parametrize(
    ("command", "params", "answer"),
    [
        ("pbx.calls.get", {}, {"result": 2}),
        ("all.ext.get", {}, {"nums": ["101", "102"]}),
        ("all.registered.get", {}, {"nums": ["101", "102"]}),
        ("all.queue.get", {}, {"nums": ["800"]}),
        ("all.group.get", {}, {"nums": ["600"]}),
        ("all.ivr.get", {}, {"nums": []}),
        ("all.line.get", {}, {"nums": []}),
        ("all.extgroup.get", {}, {"extGroups": []}),
        ("queue.members.get", {"num": "800"}, {"nums": ["101", "102"]}),
        ("queue.managers.get", {"num": "800"}, {"nums": []}),
        ("queue.free.get", {"num": "800"}, {"nums": []}),
        ("queue.isfree.get", {"num": "800"}, {"result": False}),
        ("queue.talk.get", {"num": "800"}, {"nums": ["101"]}),
        ("group.members.get", {"num": "600"}, {"nums": ["101"]}),
        ("group.free.get", {"num": "600"}, {"nums": []}),
        ("contact.find", {"num": "5551234"}, {"ids": []}),
    ],
)
async def test_a_limited_key_is_answered_of_what_it_may_see(
    http: httpx.AsyncClient, command: str, params: dict[str, str], answer: dict[str, Any]
) -> None:
    assert (await http.get(f"/webapi/{LIMITED}/{command}", params=params)).json() == answer


async def test_a_limited_key_sees_whole_calls_of_its_own_and_no_others(
    http: httpx.AsyncClient,
) -> None:
    connections = (await http.get(f"/webapi/{LIMITED}/pbx.ac.get")).json()
    assert [call["callID"] for call in connections["AConnByCallID"]] == [9, 46874]
    assert [leg["dnNum"] for leg in connections["AConnByCallID"][1]["AConnList"]] == ["101", "103"]
    info = (await http.get(f"/webapi/{LIMITED}/pbx.callsinfo.get")).json()
    assert (info["count"], [call["callID"] for call in info["callsInfo"]]) == (2, [9, 46874])
    ended = (await http.get(f"/webapi/{LIMITED}/pbx.ended.get")).json()
    assert (ended["count"], [call["callID"] for call in ended["ended"]]) == (2, [5, 7])


@pytest.mark.parametrize(
    ("command", "params", "nobody"),
    [
        ("ext.info.get", {"num": "99"}, {"num": "555"}),
        ("ext.state.get", {"num": "1000"}, {"num": "5555"}),
        ("queue.members.get", {"num": "801"}, {"num": "555"}),
        ("queue.isfree.get", {"num": "801"}, {"num": "555"}),
        ("group.free.get", {"num": "601"}, {"num": "555"}),
        ("extgroup.members.get", {"name": "Sales"}, {"name": "Solas"}),
        ("contact.get", {"id": "12"}, {"id": "99"}),
    ],
)
async def test_what_a_key_may_not_see_looks_like_what_is_not_there(
    http: httpx.AsyncClient, command: str, params: dict[str, str], nobody: dict[str, str]
) -> None:
    hidden = await http.get(f"/webapi/{LIMITED}/{command}", params=params)
    missing = await http.get(f"/webapi/{LIMITED}/{command}", params=nobody)
    assert hidden.status_code == missing.status_code == 404
    [name], [other] = params.values(), nobody.values()
    assert hidden.text.replace(name, other) == missing.text


async def test_a_limited_keys_extension_does_not_tell_of_hidden_queues(
    http: httpx.AsyncClient,
) -> None:
    state = (await http.get(f"/webapi/{LIMITED}/ext.state.get?num=102")).json()
    assert state["qStatus"] == [{"num": "800", "status": None}]
    info = (await http.get(f"/webapi/{LIMITED}/ext.info.get?num=102")).json()
    assert (info["queues"], info["extgroups"]) == (["800"], [])


async def test_no_secret_is_among_an_extensions_fields(http: httpx.AsyncClient) -> None:
    info = json.loads((await http.get(f"/webapi/{FULL}/ext.info.get?num=99")).text)
    settable = {parameter.name for parameter in COMMANDS["ext.update"].parameters}
    assert settable - set(info) == {"authpass", "vmpin"}


async def test_before_there_is_a_state_every_query_says_so() -> None:
    async with client(view(loaded=False)) as http:
        for command, params, _ in ANSWERS:
            got = await http.get(f"/webapi/{FULL}/{command}", params=params)
            if command == "all.pbx.get":
                assert got.json()["pbxs"][0]["connection"] == "unknown"
                continue
            assert (got.status_code, error(got), got.headers["retry-after"]) == (
                503,
                "no_state",
                "1",
            )
        assert error(await http.get(f"/webapi/{FULL}/")) == "no_state"


async def test_before_the_keys_are_loaded_no_key_is_called_wrong() -> None:
    async with client(table=KeyTable(None)) as http:
        for path in (
            f"/webapi/{FULL}/pbx.calls.get",
            "/webapi/pbx.calls.get",
            "/webapi/nonsense-key/nothing",
        ):
            got = await http.get(path)
            assert (got.status_code, error(got), got.headers["retry-after"]) == (
                503,
                "no_keys",
                "1",
            )
