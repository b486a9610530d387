"""Test the documents as served: linked from the front page, cached, nothing from elsewhere."""

from __future__ import annotations

import gzip
import json
import re
from html.parser import HTMLParser
from ipaddress import ip_address

import httpx
import pytest
from starlette.applications import Starlette

from gateway.docs import document_pages as docs
from gateway.docs.document_pages import ADDRESSES
from gateway.operations.operation_table import COMMANDS
from gateway.rest.middleware import redacted

DOCUMENTS = ("/openapi.json", "/asyncapi.json", "/docs", "/docs/stream")
RUSSIAN = ("/openapi.json?lang=ru", "/docs?lang=ru", "/docs/stream?lang=ru")


class Links(HTMLParser):
    """The addresses that a page names."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.named: list[str] = []
        self.inline = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        target = given.get("href") or given.get("src")
        if target is not None:
            (self.named if tag == "a" else self.loaded).append(target)
        self.inline |= tag == "style" or (tag == "script" and "src" not in given)
        self.inline |= any(name.startswith("on") or name == "style" for name in given)


async def test_the_front_page_leads_to_the_documents(http: httpx.AsyncClient) -> None:
    named = Links((await http.get("/")).text).named
    for document in DOCUMENTS:
        assert document.removeprefix("/") in named
    for name in named:
        assert (await http.get(f"/{name}")).status_code == 200


async def test_the_documents_need_no_key_and_describe_what_is_served(
    http: httpx.AsyncClient,
) -> None:
    openapi = (await http.get("/openapi.json")).json()
    assert {f"/webapi/{name}" for name in COMMANDS} <= set(openapi["paths"])
    assert openapi["info"]["version"] == (await http.get("/healthz")).json()["version"]
    assert (await http.get("/asyncapi.json")).json()["channels"]["stream"][
        "address"
    ] == "/webapi/stream"


@pytest.mark.parametrize("path", [*DOCUMENTS, *RUSSIAN])
async def test_a_client_that_has_a_document_is_not_sent_it_again(
    http: httpx.AsyncClient, path: str
) -> None:
    for encoding in ("identity", "gzip"):
        first = await http.get(path, headers={"Accept-Encoding": encoding})
        assert first.headers["cache-control"] == "no-cache"
        again = await http.get(
            path,
            headers={
                "Accept-Encoding": encoding,
                "If-None-Match": f'W/"other", {first.headers["etag"]}',
            },
        )
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
        other = await http.get(
            path, headers={"Accept-Encoding": encoding, "If-None-Match": '"other"'}
        )
        assert other.content == first.content


@pytest.mark.parametrize("path", [*DOCUMENTS, *RUSSIAN])
async def test_a_document_comes_compressed_to_whoever_takes_that(
    http: httpx.AsyncClient, path: str
) -> None:
    plain = await http.get(path, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    async with http.stream("GET", path, headers={"Accept-Encoding": "br, gzip;q=0.5"}) as packed:
        raw = b"".join([chunk async for chunk in packed.aiter_raw()])
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) == len(raw)
    assert gzip.decompress(raw) == plain.content
    assert packed.headers["etag"] != plain.headers["etag"]
    guessed = ", Accept-Language" if path in ("/docs", "/docs/stream") else ""
    assert plain.headers["vary"] == packed.headers["vary"] == f"Accept-Encoding{guessed}"


async def test_a_page_is_in_the_language_of_its_address_else_of_the_browser(
    http: httpx.AsyncClient,
) -> None:
    russian = {"Accept-Language": "ru-RU,ru;q=0.9,en;q=0.5"}
    for path in ("/docs", "/docs/stream"):
        english, other = (await http.get(path)), (await http.get(f"{path}?lang=ru"))
        assert (_language(english), _language(other)) == ("en", "ru")
        assert (
            other.headers["content-security-policy"] == english.headers["content-security-policy"]
        )
        assert {*Links(other.text).loaded} == {*Links(english.text).loaded}
        first = await http.get(path, headers=russian)
        assert (first.text, first.headers["etag"]) == (other.text, other.headers["etag"])
        assert "Accept-Language" in first.headers["vary"]
        for asked in ("?lang=xx", "?lang="):
            assert (await http.get(path + asked, headers=russian)).text == other.text
            assert (await http.get(path + asked)).text == english.text
        assert (await http.get(f"{path}?lang=en", headers=russian)).text == english.text


async def test_the_document_for_tools_is_english_unless_its_address_says_otherwise(
    http: httpx.AsyncClient,
) -> None:
    english = await http.get("/openapi.json", headers={"Accept-Language": "ru"})
    russian = await http.get("/openapi.json?lang=ru")
    assert english.headers["vary"] == "Accept-Encoding"
    assert english.headers["etag"] != russian.headers["etag"]
    assert english.json()["paths"].keys() == russian.json()["paths"].keys()
    told = russian.json()["paths"]["/webapi/all.queue.get"]["get"]
    assert (told["summary"], told["tags"]) == ("Все очереди вызова", ["Списки"])
    for unknown in ("xx", "", "RU", "../ru"):
        assert (await http.get("/openapi.json", params={"lang": unknown})).text == english.text


@pytest.mark.parametrize("path", ["/docs", "/docs?lang=ru", "/docs/stream", "/docs/stream?lang=ru"])
async def test_a_page_leads_to_the_same_in_the_other_language(
    http: httpx.AsyncClient, path: str
) -> None:
    page = await http.get(path)
    wanted = f"{path.removeprefix('/').partition('?')[0]}?lang="
    leads = [name for name in Links(page.text).named if name.removeprefix("../").startswith(wanted)]
    assert len(leads) == 1
    other = await http.get(f"/{leads[0].removeprefix('../')}")
    assert {_language(page), _language(other)} == {"en", "ru"}


def _language(page: httpx.Response) -> str:
    found = re.search(r'<html lang="(\w+)">', page.text)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("accepted", ["", "identity", "gzip;q=0", "gzip; q=0.000", "br", "xgzip"])
async def test_a_document_comes_plain_to_whoever_does_not(
    http: httpx.AsyncClient, accepted: str
) -> None:
    answer = await http.get("/docs", headers={"Accept-Encoding": accepted})
    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize("path", [*DOCUMENTS, *RUSSIAN])
async def test_head_answers_without_the_body(http: httpx.AsyncClient, path: str) -> None:
    get, head = await http.get(path), await http.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert {name: get.headers[name] for name in ("etag", "content-length", "content-type")} == {
        name: head.headers[name] for name in ("etag", "content-length", "content-type")
    }


@pytest.mark.parametrize("path", [*DOCUMENTS, *RUSSIAN])
async def test_a_document_takes_no_other_method(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.post(path)
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}


async def test_the_page_loads_only_files_that_come_with_the_gateway(
    http: httpx.AsyncClient,
) -> None:
    page = await http.get("/docs")
    links = Links(page.text)
    assert not links.inline
    assert len([address for address in links.loaded if address != "data:,"]) == 5
    for address in links.loaded:
        if address != "data:,":
            assert address.startswith("static/")
            file = await http.get(f"/{address}")
            assert file.status_code == 200
            assert file.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert file.headers["content-type"].startswith(("text/css", "text/javascript"))


async def test_a_file_asked_for_under_an_old_tag_is_not_kept(http: httpx.AsyncClient) -> None:
    assert (await http.get("/static/docs.js", params={"v": "0"})).headers[
        "cache-control"
    ] == "no-cache"


async def test_the_pages_policy_lets_nothing_in_or_out(http: httpx.AsyncClient) -> None:
    policy = dict(
        part.strip().split(" ", 1)
        for part in (await http.get("/docs")).headers["content-security-policy"].split(";")
    )
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }


async def test_the_page_keeps_no_key_and_asks_no_other_server(http: httpx.AsyncClient) -> None:
    script = (await http.get("/static/docs.js")).text
    assert "persistAuthorization: false" in script
    assert "validatorUrl: null" in script
    assert "queryConfigEnabled: false" in script
    assert not re.search(r"https?://", script)
    assert not re.search(r"https?:|//[a-z]", (await http.get("/static/docs.css")).text)


async def test_the_stream_page_tells_every_frame_entity_and_close_code(
    http: httpx.AsyncClient,
) -> None:
    page = (await http.get("/docs/stream")).text
    document = (await http.get("/asyncapi.json")).json()
    told = re.findall(r'id="([^"]+)"', page)
    components = document["components"]
    frames = {_last(frame["payload"]["$ref"]) for frame in components["messages"].values()}
    assert {frame["name"] for frame in components["messages"].values()} <= set(told)
    assert set(components["schemas"]) - frames <= set(told)
    assert len(told) == len(set(told))
    for code, row in document["x-close-codes"].items():
        meaning = re.sub(r"`(\w+)`", r"<code>\1</code>", row["meaning"])
        assert f"<td>{code}</td>\n<td>{meaning}</td>" in page
    links = Links(page)
    assert not links.inline
    for name in links.named:
        if name.startswith("#"):
            assert name[1:] in told
        else:
            assert (await http.get(f"/docs/{name}")).status_code == 200, name
    for name in links.loaded:
        if name != "data:,":
            assert (await http.get(f"/docs/{name}")).status_code == 200, name


def _last(reference: str) -> str:
    return reference.rpartition("/")[2]


async def test_nothing_else_of_the_directory_is_served(http: httpx.AsyncClient) -> None:
    for path in (
        "/static/",
        "/static/../docs.py",
        "/static/%2e%2e/docs.py",
        "/static/swagger-ui/LICENSE",
        "/docs/",
    ):
        answer = await http.get(path)
        assert answer.status_code == 404
        assert json.loads(answer.text)["error"]["code"] == "unknown_command"


def test_the_addresses_are_shown_in_the_log() -> None:
    for path in (*DOCUMENTS, "/static/swagger-ui/swagger-ui.css"):
        assert redacted(path, ADDRESSES) == path
    assert {"docs", "openapi.json"} <= set(ADDRESSES)


async def test_one_address_is_sent_so_many_bytes_of_documents_and_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr(docs, "BYTES_AT_ONCE", 1_100_000)
    monkeypatch.setattr(docs, "BYTES_PER_SECOND", 100_000)
    handouts = docs.Handouts(lambda: now)
    app = Starlette(routes=docs.documents(COMMANDS.values(), "1.2.3", handouts))

    async def ask(address: str, path: str = "/openapi.json", **headers: str) -> httpx.Response:
        transport = httpx.ASGITransport(app, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            return await http.get(path, headers={"Accept-Encoding": "identity", **headers})

    first = await ask("192.0.2.1")
    assert 300_000 < len(first.content) < 550_000
    assert (await ask("192.0.2.1")).status_code == 200
    refused = await ask("192.0.2.1")
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_many_requests")
    assert int(refused.headers["retry-after"]) > 0
    assert (await ask("192.0.2.1", "/openapi.json?lang=ru")).status_code == 429
    assert (await ask("192.0.2.1", **{"If-None-Match": first.headers["etag"]})).status_code == 304
    assert (await ask("192.0.2.2")).status_code == 200
    assert [(await ask("127.0.0.1")).status_code for _ in range(4)] == [200] * 4, (
        "this host is not counted"
    )
    now += 10.0
    assert (await ask("192.0.2.1")).status_code == 200


def test_addresses_that_were_sent_documents_are_remembered_up_to_a_bound() -> None:
    handouts = docs.Handouts()
    for number in range(docs._MOST_REMEMBERED + 500):
        handouts.count(str(ip_address(0x0B000000 + number)), 1)
    assert len(handouts._allowances) == docs._MOST_REMEMBERED
