"""Test that the error of an unreachable PBX says where to look."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest

from monitor.pbx.http_client.connect_errors import cause
from monitor.pbx.v20_client import PbxClient, PbxSettings
from monitor.shared.errors import PbxRefused, PbxUnreachable

PLACE = cast("Any", SimpleNamespace(host="pbx.example.com", port=5001, ssl=True, is_ssl=True))
"""As aiohttp's errors name it."""
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def refusal(url: str) -> str:
    """What asking a PBX there for a token comes to."""
    client = PbxClient(PbxSettings(url=url, client_id="callmon", client_secret="secret"))
    try:
        with pytest.raises((PbxUnreachable, PbxRefused)) as caught:
            await client.whoami()
        return str(caught.value)
    finally:
        await client.close()


@asynccontextmanager
async def listening(answer: bytes) -> AsyncIterator[int]:
    """A port at which everybody is told this and cut off."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65_536)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_port_at_which_nobody_listens() -> None:
    with socket.socket() as bound:  # and does not listen
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        said = await refusal(f"https://127.0.0.1:{port}")
    assert f"cannot be reached: nothing listens at 127.0.0.1:{port}; see the port in url" in said


async def test_a_port_that_speaks_no_tls() -> None:
    async with listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        assert "does not use TLS as callmon knows it" in await refusal(f"https://127.0.0.1:{port}")


async def test_a_port_that_hangs_up_on_plain_http() -> None:
    async with listening(b"") as port:
        assert (
            "closes the connection without an answer; does it need https:// in url?"
            in await refusal(f"http://127.0.0.1:{port}")
        )


async def test_a_web_server_that_wants_https_is_not_taken_for_wrong_credentials() -> None:
    body = b"<center>The plain HTTP request was sent to HTTPS port</center>"
    head = (
        f"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nContent-Length: "
        f"{len(body)}\r\n\r\n"
    )
    async with listening(head.encode() + body) as port:
        assert (
            await refusal(f"http://127.0.0.1:{port}")
            == "The PBX wants https: write https:// in url."
        )


def test_a_name_that_nobody_knows() -> None:
    error = aiohttp.ClientConnectorDNSError(PLACE, OSError(-2, "Name or service not known"))
    assert cause(error, tls=True) == (
        "the name pbx.example.com is not known (Name or service not known); see url, and this "
        "host's DNS"
    )


def test_a_host_to_which_there_is_no_way() -> None:
    error = aiohttp.ClientConnectorError(PLACE, OSError(113, "No route to host"))
    assert cause(error, tls=True).startswith(
        "there is no route to pbx.example.com:5001 (No route to host); see network"
    )


def test_a_connection_that_does_not_come_about() -> None:
    assert "firewalls" in cause(
        aiohttp.ConnectionTimeoutError("Connection timeout to host https://…"), tls=True
    )


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (10, "has expired (it says); renew it"),
        (9, "is not valid yet (it says); see the clocks"),
        (62, "is for another name (it says); use a name from"),
        (64, "is for another name (it says); use a name from"),
        (20, "is not trusted (it says); name the file with"),
    ],
)
def test_a_certificate_that_is_not_accepted(code: int, says: str) -> None:
    refused = ssl.SSLCertVerificationError("certificate verify failed")
    refused.verify_code, refused.verify_message = code, "it says"
    assert says in cause(aiohttp.ClientConnectorCertificateError(PLACE, refused), tls=True)


def test_an_address_that_may_hold_a_key_is_not_repeated() -> None:
    error = aiohttp.InvalidURL("http://127.0.0.1/webapi/a-key/pbx.calls.get")
    assert cause(error, tls=False) == "InvalidURL"
