"""Test what the client says when no stream opens, and whether it goes on.

Real sockets that answer wrongly.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading
import traceback
from datetime import timedelta
from pathlib import Path

import pytest
import uvloop

from gateway.stream_client import (
    Connection,
    StreamClient,
    StreamMisconfigured,
    StreamRefused,
    StreamUnreachable,
    stream_url,
)
from gateway.stream_client import client as client_module
from gateway.stream_client.connect import proxy_of_environment
from monitor.simulator.tls import Authority, make_certificate
from tests.bus import free_port, until
from tests.gateway.entities import call
from tests.gateway.serving import Served, serving
from tests.proxies import connect_proxy
from tests.wrong_services import Answer, banner, hangs_up, http, listening, says, silence

WITHIN = 60.0


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "no_proxy",
        "ws_proxy",
        "wss_proxy",
        "socks_proxy",
    ):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow machine may need seconds to connect: a test says itself when that is reported."""
    monkeypatch.setattr(client_module, "_PATIENCE_S", WITHIN)


async def first_trouble(url: str, key: str = "key", **options: object) -> Connection:
    """How the connection stands once there is a reason.

    If that is for good, the stream must have ended with it.
    """
    told: asyncio.Queue[Connection] = asyncio.Queue()
    client = StreamClient(url, key, ["calls"], on_connection=told.put_nowait, **options)  # type: ignore[arg-type]
    following = asyncio.ensure_future(anext(aiter(client)))
    try:
        async with asyncio.timeout(WITHIN):
            while not (found := await told.get()).reason:
                pass
            if found.status == "refused":
                with pytest.raises(StreamRefused) as refused:
                    await following
                assert refused.value.reason == found.reason
                assert refused.value.__context__ is None
                assert "another exception" not in "".join(traceback.format_exception(refused.value))
        return found
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await client.close()


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        (
            http("404 Not Found"),
            "refused",
            "is not a gateway of callmon: it answers 404 Not Found at /webapi/stream",
        ),
        (http("200 OK"), "refused", "is not a gateway of callmon: it answers 200 OK"),
        (http("401 Unauthorized"), "refused", "is not a gateway of callmon: it answers 401"),
        (
            http("400 Bad Request", body="The plain HTTP request was sent to HTTPS port"),
            "refused",
            "address is https://",
        ),
        (http("426 Upgrade Required"), "refused", "must pass on Upgrade and Connection"),
        (
            http(
                "426 Upgrade Required",
                body='{"error": {"code": "upgrade_required", "message": "WebSocket."}}',
            ),
            "refused",
            "must pass on Upgrade and Connection",
        ),
        (
            http("502 Bad Gateway"),
            "waiting",
            "answers 502 Bad Gateway: it is not a gateway, but perhaps a proxy",
        ),
        (
            http("301 Moved", "Location: https://elsewhere.example/"),
            "refused",
            "redirects to https://elsewhere.example",
        ),
        (
            http("302 Found", "Location: https://127.0.0.1/webapi/stream"),
            "refused",
            "redirects to https://127.0.0.1 ",
        ),
        (http("302 Found", "Location: /maintenance"), "waiting", "redirects to http://127.0.0.1:"),
        (
            http("101 Switching Protocols", "Upgrade: other"),
            "refused",
            "it does not open a WebSocket as it should",
        ),
        (
            banner,
            "refused",
            "its answer is not HTTP (invalid HTTP status line: SSH-2.0-OpenSSH_10.0p2",
        ),
        (
            says("HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server."),
            "refused",
            "needs TLS: the address is https://127.0.0.1",
        ),
        (hangs_up, "waiting", "closes the connection"),
    ],
)
async def test_a_wrong_service_is_named(answer: Answer, status: str, words: str) -> None:
    async with listening(answer) as port:
        found = await first_trouble(f"ws://127.0.0.1:{port}/webapi/stream")
        assert (found.status, words in found.reason) == (status, True), found
        assert f"http://127.0.0.1:{port}" in found.reason


async def test_a_service_that_refuses_the_bare_address_is_named_with_a_path() -> None:
    async with listening(http("403 Forbidden")) as port:
        found = await first_trouble(f"ws://127.0.0.1:{port}")
    assert "it answers 403 Forbidden at /. Check host, port and path" in found.reason


async def test_a_port_that_nobody_listens_on_and_a_name_that_nobody_knows() -> None:
    port = free_port()
    for host in ("127.0.0.1", "localhost"):
        found = await first_trouble(f"ws://{host}:{port}/")
        assert (
            found.status,
            found.reason.startswith(f"Nothing listens at http://{host}:{port}"),
        ) == ("waiting", True)
    for host in ("no-such-host.invalid", "wall..invalid", f"{'a' * 64}.invalid"):
        found = await first_trouble(f"ws://{host}/")
        assert (found.status, f"the name {host}" in found.reason.lower()) == (
            "waiting",
            True,
        ), found


async def test_a_host_that_never_answers_is_named_before_the_attempt_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client_module, "_PATIENCE_S", 0.05)
    for scheme in ("ws", "wss"):
        async with listening(silence) as port:
            found = await first_trouble(f"{scheme}://127.0.0.1:{port}/")
            assert (found.status, f":{port} does not answer" in found.reason) == (
                "connecting",
                True,
            )


def test_a_name_server_that_does_not_answer_keeps_no_program_from_ending(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    over, answered = threading.Event(), []

    def hang(*_: object, **__: object) -> None:
        answered.append(over.wait(WITHIN))
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    monkeypatch.setattr(client_module, "_PATIENCE_S", 0.05)
    found = asyncio.run(first_trouble("ws://gateway.example/"))
    assert (found.status, answered) == ("connecting", [])
    over.set()


async def test_a_gateway_without_a_state_says_so_and_a_bad_key_ends_it() -> None:
    async with serving() as served:
        found = await first_trouble(served.url(), "early-key")
        assert (found.status, found.code) == ("waiting", 503)
        assert "no_state" in found.reason
        assert found.retry_in is not None
        assert 1 <= found.retry_in <= 2
        found = await first_trouble(served.url(), "no-such-key")
        assert (found.status, found.code) == ("refused", 401)


def server_context(authority: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.files.certificate, authority.files.key)
    return context


async def test_certificates(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with listening(silence, server_context(authority), host="127.0.0.2") as port:
        found = await first_trouble(f"wss://127.0.0.2:{port}/")
        assert (found.status, "is not trusted" in found.reason, "--ca-file" in found.reason) == (
            "refused",
            True,
            True,
        )
        found = await first_trouble(f"wss://127.0.0.2:{port}/", ca_file=authority.files.ca_file)
        assert (found.status, "is for another name" in found.reason) == ("refused", True)
    authority.issue(timedelta(days=-1))
    async with listening(silence, server_context(authority)) as port:
        found = await first_trouble(f"wss://127.0.0.1:{port}/", ca_file=authority.files.ca_file)
        assert (found.status, "has expired" in found.reason) == ("waiting", True)


async def test_tls_and_clear_text_mistaken_for_each_other(tmp_path: Path) -> None:
    async with serving() as served:
        found = await first_trouble(f"wss://{served.host}/webapi/stream")
        assert (
            found.status,
            found.reason.startswith(f"https://{served.host} does not use TLS"),
        ) == ("refused", True)
        assert f"its address is http://{served.host}." in found.reason
    context = server_context(Authority(tmp_path))
    async with listening(silence, context) as port:
        found = await first_trouble(f"ws://127.0.0.1:{port}/webapi/stream")
        assert (found.status, f"the address is https://127.0.0.1:{port}" in found.reason) == (
            "waiting",
            True,
        )


async def test_it_follows_no_redirect_so_that_nobody_else_gets_the_key() -> None:
    asked: list[bytes] = []

    async def elsewhere(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))

    async with (
        listening(elsewhere) as there,
        listening(http("308 Permanent Redirect", f"Location: http://127.0.0.1:{there}/")) as port,
    ):
        found = await first_trouble(f"ws://127.0.0.1:{port}/")
    assert (found.status, f"127.0.0.1:{there}" in found.reason, asked) == ("refused", True, [])


async def test_over_tls_with_a_ca_file_and_with_a_context(tmp_path: Path) -> None:
    files = make_certificate(tmp_path)
    async with serving(ssl_certfile=str(files.certificate), ssl_keyfile=str(files.key)) as served:
        url = served.url().replace("ws:", "wss:")
        context = ssl.create_default_context(cafile=files.ca_file)
        for client in (
            StreamClient(url, "reader-key", ["calls"], ca_file=files.ca_file),
            StreamClient(url.replace("wss:", "https:"), "reader-key", ["calls"], ssl=context),
        ):
            async with client, asyncio.timeout(WITHIN):
                assert (await anext(aiter(client))).kind == "snapshot"


async def test_under_uvloop_it_says_the_same() -> None:
    def run() -> Connection:
        return uvloop.run(first_trouble(f"ws://localhost:{free_port()}/"))

    found = await asyncio.to_thread(run)
    assert (found.status, found.reason.startswith("Nothing listens at")) == ("waiting", True)


async def test_a_reason_is_logged_once_unless_somebody_takes_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "gateway.stream_client")
    port = free_port()
    async with StreamClient(
        f"ws://127.0.0.1:{port}/webapi/stream", "reader-key", ["calls"]
    ) as client:
        following = asyncio.ensure_future(anext(aiter(client)))
        await until(lambda: client.reconnects >= 3, WITHIN)
        async with serving(port=port):
            await asyncio.wait_for(following, WITHIN)
        said = [
            (record.levelname, record.getMessage())
            for record in caplog.records
            if "Nothing" in record.getMessage()
        ]
        assert len(said) == 1
        assert said[0][0] == "WARNING"
        assert caplog.records[-1].getMessage() == f"Connected to http://127.0.0.1:{port}."
        assert client.connection == Connection("live")
    caplog.clear()
    await first_trouble(f"ws://127.0.0.1:{free_port()}/")
    assert not caplog.records


async def test_once_connected_only_the_gateways_own_word_ends_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client_module, "_BACKOFF_S", (0.1, 0.1))
    told: list[Connection] = []
    port = free_port()

    async def live_again(served: Served, client: StreamClient) -> None:
        served.put("calls", "1", call(1))
        async for update in client:
            if update.position.epoch == served.position.epoch and update.state["calls"]:
                return

    client = StreamClient(
        f"ws://127.0.0.1:{port}/webapi/stream", "reader-key", ["calls"], on_connection=told.append
    )
    async with client, asyncio.timeout(WITHIN):
        async with serving(port=port) as served:
            await live_again(served, client)
        following = asyncio.ensure_future(anext(aiter(client)))
        async with listening(http("404 Not Found"), port=port):
            await until(lambda: any("answers 404" in one.reason for one in told))
        assert not following.done()
        async with serving(port=port) as served:
            # A new epoch, as of another monitor: in the same one nobody is sent back.
            served.start_epoch()
            await following
            await live_again(served, client)
            served.live.revoke("reader")
            with pytest.raises(StreamRefused, match="key revoked") as refused:
                await live_again(served, client)
    assert not isinstance(refused.value, StreamUnreachable)
    assert told[-2] == Connection("refused", "key revoked", 4001)


# proxies


async def test_it_goes_through_the_proxy_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = make_certificate(tmp_path, "gateway.example")
    async with (
        serving(ssl_certfile=str(files.certificate), ssl_keyfile=str(files.key)) as served,
        asyncio.timeout(WITHIN),
        connect_proxy(int(served.host.rpartition(":")[2])) as proxy,
    ):
        monkeypatch.setenv("https_proxy", f"127.0.0.1:{proxy.port}")
        url = "wss://gateway.example/webapi/stream"
        async with StreamClient(url, "reader-key", ["calls"], ca_file=files.ca_file) as client:
            assert (await anext(aiter(client))).kind == "snapshot"
        assert proxy.asked == ["CONNECT gateway.example:443 HTTP/1.1"]
    async with serving() as served, connect_proxy(int(served.host.rpartition(":")[2])) as proxy:
        monkeypatch.delenv("https_proxy")
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        async with (
            StreamClient("ws://gateway.example/webapi/stream", "reader-key", ["calls"]) as client,
            asyncio.timeout(WITHIN),
        ):
            assert (await anext(aiter(client))).kind == "snapshot"
        assert proxy.asked == ["CONNECT gateway.example:80 HTTP/1.1"]


async def test_this_machine_is_reached_past_any_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as served, connect_proxy(1) as proxy, asyncio.timeout(WITHIN):
        for name in ("http_proxy", "https_proxy", "socks_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        for host in ("127.0.0.1", "localhost"):
            url = served.url().replace("127.0.0.1", host)
            async with StreamClient(url, "reader-key", ["calls"]) as client:
                assert (await anext(aiter(client))).kind == "snapshot"
        assert not proxy.asked


@pytest.mark.parametrize(
    ("host", "no_proxy", "proxied"),
    [
        ("gateway.example", "", True),
        ("gateway.example", "localhost,gateway.example", False),
        ("calls.gateway.example", ".gateway.example", False),
        ("gateway.example", "other.example", True),
        ("gateway.example", "*", False),
        ("10.1.2.3", "10.0.0.0/8", False),
        ("10.1.2.3", "192.168.0.0/16, 10.1.2.3", False),
        ("11.1.2.3", "10.0.0.0/8,nonsense/99", True),
        ("2001:db8::1", "2001:db8::/32", False),
        ("127.8.9.10", "", False),
        ("::1", "", False),
        ("::ffff:127.0.0.1", "", False),
        ("wall.localhost", "", False),
    ],
)
def test_who_is_reached_through_a_proxy(
    host: str, no_proxy: str, proxied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", no_proxy)
    found = proxy_of_environment(host, 443, secure=True)
    assert found == ("http://proxy.example:3128" if proxied else None)


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        (
            "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
            "refused",
            "needs a name and a password",
        ),
        (
            "HTTP/1.1 403 Forbidden\r\n\r\n",
            "waiting",
            "answers 403 Forbidden to a connection with http://gateway.example",
        ),
        ("SSH-2.0-OpenSSH_10.0p2\r\n", "waiting", "does not answer as a proxy does"),
    ],
)
async def test_a_proxy_that_does_not_help_is_named_without_its_password(
    answer: str, status: str, words: str
) -> None:
    async with connect_proxy(1, answer.encode()) as proxy:
        given = f"http://me:s3cr3t@127.0.0.1:{proxy.port}"
        found = await first_trouble("ws://gateway.example/", proxy=given)
    assert (found.status, words in found.reason) == (status, True), found
    assert f"http://127.0.0.1:{proxy.port}" in found.reason
    assert "s3cr3t" not in found.reason


async def test_a_proxy_that_is_not_there_is_named_without_its_password() -> None:
    port = free_port()
    found = await first_trouble(
        "wss://gateway.example/", proxy=f"http://me:s3cr3t@127.0.0.1:{port}"
    )
    assert found.status == "waiting"
    assert found.reason.startswith(f"The proxy http://127.0.0.1:{port} cannot be reached: ")


@pytest.mark.parametrize(
    "proxy", ["ftp://me:s3cr3t@proxy:21", "http://me:s3cr3t@proxy:port", "me:s3c#r3t@proxy:port"]
)
def test_what_is_no_proxys_address_is_said_without_its_password(proxy: str) -> None:
    with pytest.raises(StreamMisconfigured, match="is not a proxy's address") as error:
        StreamClient("ws://gateway.example/", "key", ["calls"], proxy=proxy)
    assert "r3t" not in str(error.value)


async def test_a_socks_proxy_names_the_package_that_it_needs() -> None:
    found = await first_trouble("ws://gateway.example/", proxy="socks5://me:s3cr3t@127.0.0.1:1")
    assert (found.status, "python-socks" in found.reason, "s3cr3t" in found.reason) == (
        "refused",
        True,
        False,
    )


# addresses


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http://127.0.0.1:8765", "ws://127.0.0.1:8765/webapi/stream"),
        ("https://calls.example.com/", "wss://calls.example.com/webapi/stream"),
        ("https://calls.example.com/webapi", "wss://calls.example.com/webapi/stream"),
        ("https://example.com/callmon/webapi/", "wss://example.com/callmon/webapi/stream"),
        ("https://example.com/callmon", "wss://example.com/callmon/webapi/stream"),
        ("wss://calls.example.com/webapi/stream", "wss://calls.example.com/webapi/stream"),
        ("http://[::1]:8765/wall?view=calls#key=abc", "ws://[::1]:8765/webapi/stream"),
    ],
)
def test_a_gateways_address_as_people_have_it(given: str, url: str) -> None:
    assert stream_url(given) == url


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("localhost:8765", "is not a gateway's address; it looks like http://127.0.0.1:8765"),
        ("http://", "is not a gateway's address"),
        ("http://127.0.0.1:8765/webapi/s3cr3t/pbx.calls.get", "The key goes with --key"),
        ("ftp://me:s3cr3t@host", "is not a gateway's address"),
        ("http://me:s3cr3t@[::1:8765", "is not a gateway's address"),
    ],
)
def test_what_is_no_gateways_address_is_said_without_a_key(given: str, words: str) -> None:
    with pytest.raises(StreamMisconfigured) as error:
        stream_url(given)
    assert words in str(error.value)
    assert "s3cr3t" not in str(error.value)


@pytest.mark.parametrize(
    "url", ["", "ws://", "ftp://host/", "ws://host:port/", "ws://me@host/", "ws://host/#key"]
)
def test_what_is_no_streams_address_is_said(url: str) -> None:
    with pytest.raises(StreamMisconfigured, match="is not the address of a stream"):
        StreamClient(url, "key", ["calls"])


async def test_a_line_end_behind_the_key_is_no_part_of_it() -> None:
    async with serving() as served, asyncio.timeout(WITHIN):
        url = f"ws://{served.host}/webapi/stream"
        async with StreamClient(url, " reader-key\r\n", ["calls"], proxy=None) as client:
            assert (await anext(aiter(client))).kind == "snapshot"
    for key, pbx in (("s3cr\n3t", ""), ("key", "s3cr\r\n3t")):
        with pytest.raises(StreamMisconfigured, match="has a line end or another") as error:
            StreamClient(url, key, ["calls"], pbx=pbx)
        assert "3t" not in str(error.value)


def test_a_file_without_authorities_is_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("", encoding="utf-8")
    for file, words in (
        (empty, "it has no certificate in PEM"),
        (tmp_path / "none.pem", "No such file"),
    ):
        with pytest.raises(StreamMisconfigured, match=words) as error:
            StreamClient("wss://host/", "key", ["calls"], ca_file=file)
        assert str(file) in str(error.value)
