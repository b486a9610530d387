"""What a request gives: its parameters and keys, in every form of body."""

from __future__ import annotations

import asyncio
import encodings
import tracemalloc
from urllib.parse import quote

import httpx
import pytest
from starlette.requests import Request
from starlette.types import Message

from gateway.errors import BadBody, Refused
from gateway.parameters import LARGEST_BODY_BYTES
from gateway.rest import request_parser
from tests.gateway.world import (
    FULL,
    error,
    message,
)

FIELD = b'--x\r\nContent-Disposition: form-data; name="num"\r\n\r\n99\r\n--x--'
"""A multipart form."""


@pytest.mark.parametrize(
    ("content", "kind", "status", "code"),
    [
        (b"{", "application/json", 400, "bad_body"),
        (b"[1]", "application/json", 400, "bad_body"),
        (b'""', "application/json", 400, "bad_body"),
        (b"[]", "application/json", 400, "missing_parameter"),
        (b"null", "application/json", 400, "missing_parameter"),
        (b"\r\n", "application/json", 400, "missing_parameter"),
        (b"[]", "application/vnd.api+json", 400, "missing_parameter"),
        (b"\xff", "application/json", 400, "bad_body"),
        (b'{"num": NaN}', "application/json", 400, "bad_body"),
        (b"[" * 20_000, "application/json", 400, "bad_body"),
        (b'{"num": "99", "num": "99"}', "application/json", 400, "duplicate_parameter"),
        (b'{"num": null}', "application/json", 400, "missing_parameter"),
        (b'{"num": true}', "application/json", 400, "bad_parameter"),
        (b'{"num": 9.9}', "application/json", 400, "bad_parameter"),
        (b'{"num": {"a": 1}}', "application/json", 400, "bad_parameter"),
        (b'{"num": [["99"]]}', "application/json", 400, "bad_parameter"),
        (b'{"num": "\\ud800"}', "application/json", 400, "bad_parameter"),
        (b'{"\\ud800": "1"}', "application/json", 400, "unknown_parameter"),
        (b"num=%ff", "application/x-www-form-urlencoded", 400, "bad_body"),
        (b"num=\xff", "application/x-www-form-urlencoded", 400, "bad_body"),
        (b"nonsense", "multipart/form-data; boundary=x", 400, "bad_body"),
        (b"nonsense", "multipart/form-data", 400, "bad_body"),
        (
            b"--x\r\nContent-Disposition: form-data; name=num; filename=f\r\n\r\n1\r\n--x--",
            "multipart/form-data; boundary=x",
            400,
            "bad_body",
        ),
        (FIELD, "multipart/form-data; boundary=x" + ";" * 300, 400, "bad_body"),
        (b"num=99", "text/plain", 415, "unsupported_body"),
        (b"num=99", "", 415, "unsupported_body"),
        (b"num=" + b"9" * 70_000, "application/x-www-form-urlencoded", 413, "too_large"),
    ],
)
async def test_a_body_that_cannot_be_read_is_refused(
    http: httpx.AsyncClient, content: bytes, kind: str, status: int, code: str
) -> None:
    headers = {"Content-Type": kind} if kind else {}
    got = await http.post(f"/webapi/{FULL}/ext.info.get", content=content, headers=headers)
    assert (got.status_code, error(got)) == (status, code)


async def test_json_may_hold_numbers_and_lists(http: httpx.AsyncClient) -> None:
    assert (await http.post(f"/webapi/{FULL}/contact.get", json={"id": 12})).json()["id"] == 12
    body = {"num": 800, "agents": ["99", 101]}
    assert error(await http.post(f"/webapi/{FULL}/queue.agents.set", json=body)) == "no_monitor"


@pytest.mark.parametrize(
    "kind",
    ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", ""],
)
async def test_a_json_body_counts_whatever_its_content_type(
    http: httpx.AsyncClient, kind: str
) -> None:
    headers = {"Content-Type": kind} if kind else {}
    got = await http.post(
        f"/webapi/{FULL}/contact.get", content=b'\xef\xbb\xbf {"id": 12}', headers=headers
    )
    assert got.json()["id"] == 12


async def test_json_may_write_a_whole_number_with_a_point(http: httpx.AsyncClient) -> None:
    got = await http.post(
        f"/webapi/{FULL}/contact.get",
        content=b'{"id": 12.0}',
        headers={"Content-Type": "application/json"},
    )
    assert got.json()["id"] == 12


async def test_what_clients_of_the_original_send_besides_is_taken(http: httpx.AsyncClient) -> None:
    got = await http.get(f"/webapi/{FULL}/ext.info.get?num=99&_=1700000000&timeout=5")
    assert got.json()["num"] == "99"
    found = await http.get(f"/webapi/{FULL}/contact.find?num=170123&min_len=")
    assert found.status_code == 200


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ("company=Bäckerei Zürich&min=", ""),
        ("company=Bäckerei%20Z%C3%BCrich&min=\r\n", "; charset=UTF-8"),
        ("company=Bäckerei Zürich&min=", "; charset=windows-1251"),
    ],
)
def test_a_form_may_hold_utf_8_as_it_is(content: str, kind: str) -> None:
    assert _form(content.encode(), kind) == [("company", "Bäckerei Zürich"), ("min", "")]


@pytest.mark.parametrize(
    ("charset", "name"),
    [("windows-1251", "Отдел"), ("KOI8-R", "Отдел"), ('"iso-8859-1"', "Müller")],
)
def test_a_body_of_another_charset_is_read_if_its_type_says_so(charset: str, name: str) -> None:
    raw, kind = name.encode(charset.strip('"')), f"; charset={charset}"
    assert _form(b"name=" + raw, kind) == [("name", name)]
    assert _form(b"name=" + quote(raw).encode() + b"&a=1", kind) == [("name", name), ("a", "1")]
    content = b'{"name": "' + raw + b'"}'
    assert _pairs(content, "application/json" + kind) == [("name", name)]
    for unsaid in ("", "; charset=punycode", "; charset=utf-8", f"; charset=x{charset}"):
        for of_form in (raw, quote(raw).encode()):
            with pytest.raises(BadBody):
                _form(b"name=" + of_form, unsaid)
        with pytest.raises(BadBody):
            _pairs(content, "application/json" + unsaid)


def _form(content: bytes, kind: str) -> list[tuple[str, str]]:
    return _pairs(content, "application/x-www-form-urlencoded" + kind)


def _pairs(content: bytes, kind: str) -> list[tuple[str, str]]:
    async def receive() -> Message:
        return {"type": "http.request", "body": content}

    headers = [(b"content-type", kind.encode())]
    scope = {"type": "http", "method": "POST", "query_string": b"", "headers": headers}
    return [*asyncio.run(request_parser.parse_request(Request(scope, receive))).pairs]


async def test_null_in_json_is_a_parameter_that_was_not_given(http: httpx.AsyncClient) -> None:
    found = await http.post(
        f"/webapi/{FULL}/contact.find", json={"num": "170123", "min_len": None, "contact": None}
    )
    assert found.status_code == 200


@pytest.mark.parametrize(
    ("value", "came"),
    [
        *((True, "true"), (1.5, "1.5"), ({"a": 1}, "an object"), ([False], "false")),
        (1e30, "1e+30"),
    ],
)
async def test_what_json_may_not_hold_is_named(
    http: httpx.AsyncClient, value: object, came: str
) -> None:
    got = await http.post(f"/webapi/{FULL}/ext.update", json={"num": "99", "enabled": value})
    assert (
        message(got)
        == f"'enabled' = {came} was given, but it takes text, a whole number, or a list of these."
    )


async def test_a_list_in_json_is_counted_before_it_is_looked_at(http: httpx.AsyncClient) -> None:
    body = {"num": 800, "agents": [*range(1000), None]}
    got = await http.post(f"/webapi/{FULL}/queue.agents.set", json=body)
    assert message(got) == "'agents' is a list of 1001 values; it takes 1000 at most."


@pytest.mark.parametrize(
    ("body", "said", "most_bytes"),
    [
        (
            '{"num": [' + ",".join(["{}"] * 20_000) + "]}",
            "'num' is a list of 20000 values; it takes 1000 at most.",
            1_500_000,
        ),
        (
            "{" + ",".join(f'"{number:x}":1' for number in range(6_000)) + "}",
            "more than 64 parameters",
            1_500_000,
        ),
        (
            '{"num": ' + "[" * 60_000,
            "not JSON",
            6_000_000,
        ),  # Python 3.14 makes all these lists before it gives up
    ],
    ids=["objects", "names", "depth"],
)
async def test_json_of_more_than_any_command_takes_costs_little_and_is_refused(
    http: httpx.AsyncClient, body: str, said: str, most_bytes: int
) -> None:
    assert len(body) <= LARGEST_BODY_BYTES
    with pytest.raises(Refused, match=said):
        request_parser._json(body.encode())
    tracemalloc.start()
    got = await http.post(
        f"/webapi/{FULL}/ext.update", content=body, headers={"Content-Type": "application/json"}
    )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert got.status_code == 400
    assert said in message(got)
    assert peak < most_bytes, "no object of ours is made for each of theirs"


async def test_json_may_begin_with_a_byte_order_mark_as_windows_writes_it(
    http: httpx.AsyncClient,
) -> None:
    headers = {"Content-Type": "application/json"}
    got = await http.post(
        f"/webapi/{FULL}/contact.get", content=b'\xef\xbb\xbf{"id": 12}', headers=headers
    )
    assert got.json()["id"] == 12


async def test_a_parameter_in_both_query_string_and_body_came_twice(
    http: httpx.AsyncClient,
) -> None:
    got = await http.post(f"/webapi/{FULL}/ext.info.get?num=99", data={"num": "99"})
    assert error(got) == "duplicate_parameter"


async def test_the_body_of_a_get_does_not_count(http: httpx.AsyncClient) -> None:
    got = await http.request(
        "GET", f"/webapi/{FULL}/ext.info.get?num=99", content=b"{", headers={"X": "y"}
    )
    assert got.status_code == 200


@pytest.mark.parametrize(
    "more", ["boundary=x", 'charset=utf-8; Boundary="x"', "boundary=x; charset=punycode"]
)
async def test_a_multipart_form_is_read_by_its_boundary_alone(
    http: httpx.AsyncClient, more: str
) -> None:
    headers = {"Content-Type": f"multipart/form-data; {more}"}
    got = await http.post(f"/webapi/{FULL}/ext.info.get", content=FIELD, headers=headers)
    assert got.json()["num"] == "99"


async def test_nothing_is_remembered_of_a_charset_that_a_form_names(
    http: httpx.AsyncClient,
) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x; charset=x-of-a-stranger"}
    await http.post("/webapi/ext.info.get", content=FIELD, headers=headers)
    remembered: dict[str, object] = getattr(encodings, "_cache")  # noqa: B009
    assert not [name for name in remembered if "stranger" in name]
