"""Test answers as HTTP responses: positions, entity tags, staleness."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator

import httpx
import pytest

from gateway.app import create_app
from gateway.pbx_context import PbxContext
from gateway.rest.fast_path import QueryFastPath
from gateway.rest.query_responses import matches
from monitor.shared.changes import Change, Edit, Position
from tests.gateway import entities
from tests.gateway.world import FULL, LIMITED, NOW, client, keys, view

ADDRESS = f"/webapi/{FULL}/pbx.calls.get"


@pytest.fixture
def pbx() -> PbxContext:
    return view()


@pytest.fixture
async def http(pbx: PbxContext) -> AsyncIterator[httpx.AsyncClient]:
    async with client(pbx) as http:
        yield http


def advance(pbx: PbxContext, *edits: Edit) -> None:
    assert pbx.live.position is not None
    position = Position(pbx.live.position.epoch, pbx.live.position.seq + 1)
    assert pbx.live.apply(Change(position, entities.START, edits))


async def test_an_answer_bears_its_position_and_asks_to_be_checked_again(
    http: httpx.AsyncClient,
) -> None:
    got = await http.get(ADDRESS)
    assert got.headers["callmon-position"] == "000000000000001-aa/5"
    assert got.headers["cache-control"] == "private, no-cache"
    assert "Authorization" in got.headers["vary"]
    assert "callmon-stale-since" not in got.headers
    book = await http.get(f"/webapi/{FULL}/contact.get?id=12")
    assert book.headers["callmon-position"] == "000000000000001-bb/2"


async def test_an_answer_that_the_client_has_is_not_sent_again(
    http: httpx.AsyncClient, pbx: PbxContext
) -> None:
    etag = (await http.get(ADDRESS)).headers["etag"]
    assert etag.startswith('"')
    advance(pbx, Edit("lines", "1", None, entities.line("1")))
    for given in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        for method in ("GET", "HEAD"):
            same = await http.request(method, ADDRESS, headers={"If-None-Match": given})
            assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", etag)
            assert same.headers["callmon-position"] == "000000000000001-aa/6"
    advance(pbx, Edit("calls", "1", None, entities.call(1)))
    changed = await http.get(ADDRESS, headers={"If-None-Match": etag})
    assert (changed.status_code, changed.json()) == (200, {"result": 4})
    assert changed.headers["etag"] != etag


async def test_a_post_is_always_answered_in_full(http: httpx.AsyncClient) -> None:
    assert (await http.post(ADDRESS, headers={"If-None-Match": "*"})).json() == {"result": 3}


async def test_a_stale_answer_says_since_when(http: httpx.AsyncClient, pbx: PbxContext) -> None:
    etag = (await http.get(ADDRESS)).headers["etag"]
    pbx.live.silent("2026-03-04T03:14:00.000Z")
    stale = await http.get(ADDRESS)
    assert (stale.status_code, stale.headers["callmon-stale-since"]) == (
        200,
        "2026-03-04T03:14:00.000Z",
    )
    same = await http.get(ADDRESS, headers={"If-None-Match": etag})
    assert (same.status_code, same.headers["callmon-stale-since"]) == (
        304,
        "2026-03-04T03:14:00.000Z",
    )
    pbx.live.heard(entities.START)
    assert "callmon-stale-since" not in (await http.get(ADDRESS)).headers


async def test_keys_that_see_different_things_never_share_an_answer(
    http: httpx.AsyncClient,
) -> None:
    limited = ADDRESS.replace(FULL, LIMITED)
    answers = [
        (await http.get(address)).json()["result"]
        for address in (ADDRESS, limited, ADDRESS, limited)
    ]
    assert answers == [3, 2, 3, 2]


def test_entity_tags_are_compared_weakly() -> None:
    assert matches(' W/"a" , "b"', '"a"')
    assert matches("*", '"a"')
    assert not matches('"ab"', '"a"')
    assert not matches("", '"a"')


@pytest.mark.parametrize("added", ["-gzip", "-br", "-zstd"])
def test_a_tag_counts_without_what_a_compressing_proxy_added_to_it(added: str) -> None:
    assert matches(f'"a{added}"', '"a"')
    assert matches(f'"b", W/"a{added}"', '"a"')
    assert not matches(f'"b{added}"', '"a"')
    assert not matches(f'"a{added}x"', '"a"')


INFOS = f"/webapi/{FULL}/pbx.callsinfo.get"


async def raw(http: httpx.AsyncClient, method: str, accepted: str) -> tuple[httpx.Response, bytes]:
    """A response, and its body as it was sent."""
    headers = {"Accept-Encoding": accepted}
    async with http.stream(method, INFOS, headers=headers) as response:
        return response, b"".join([part async for part in response.aiter_raw()])


async def test_a_large_answer_is_compressed_for_those_who_take_it(http: httpx.AsyncClient) -> None:
    plain, body = await raw(http, "GET", "identity")
    assert "content-encoding" not in plain.headers
    assert "Accept-Encoding" in plain.headers["vary"]
    for method in ("GET", "POST"):
        answer, packed = await raw(http, method, "br, gzip")
        assert answer.headers["content-encoding"] == "gzip"
        assert gzip.decompress(packed) == body
        assert len(packed) == int(answer.headers["content-length"]) < len(body) / 2
        assert answer.headers["vary"] == plain.headers["vary"]
        assert answer.headers["etag"] == "W/" + plain.headers["etag"], "not the same bytes"
    head, nothing = await raw(http, "HEAD", "gzip")
    assert (nothing, head.headers["content-length"]) == (b"", str(len(packed)))


async def test_the_tag_of_either_form_stands_for_both(http: httpx.AsyncClient) -> None:
    tags = [(await raw(http, "GET", accepted))[0].headers["etag"] for accepted in ("gzip", "br")]
    for tag in tags:
        for accepted, own in zip(("gzip", "br"), tags, strict=True):
            headers = {"If-None-Match": tag, "Accept-Encoding": accepted}
            same = await http.get(INFOS, headers=headers)
            assert (same.status_code, same.content) == (304, b"")
            assert same.headers["etag"] == own
            assert "content-encoding" not in same.headers


async def test_small_answers_and_refusals_are_not_compressed(
    http: httpx.AsyncClient,
) -> None:
    for path, status in ((ADDRESS, 200), (f"/webapi/{FULL}/queue.free.get?num=1{'0' * 90}", 400)):
        answer = await http.get(path, headers={"Accept-Encoding": "gzip"})
        assert answer.status_code == status
        assert "content-encoding" not in answer.headers


async def test_compression_can_be_switched_off(pbx: PbxContext) -> None:
    app = create_app({"main": pbx}, keys(), clock=lambda: NOW, compression=False)
    transport = httpx.ASGITransport(
        app=QueryFastPath(app, keys(), None, lambda: NOW, compression=False)
    )
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        for _ in range(2):
            answer = await http.get(INFOS, headers={"Accept-Encoding": "gzip"})
            assert (answer.status_code, len(answer.content) > 1_000) == (200, True)
            assert "content-encoding" not in answer.headers
