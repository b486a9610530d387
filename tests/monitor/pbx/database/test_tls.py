"""Test that a database's certificate is checked unless the settings say otherwise."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import ssl
import struct
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from monitor.pbx.database.client import DatabaseSettings
from monitor.shared.errors import CommandRefused, ConfigError
from tests import pbx_database
from tests.pbx_database import ReadDatabase
from tests.postgres import Postgres, postgres

ASK = "select 1"
REQUEST = struct.pack("!II", 8, 80_877_103)
"""With this a client asks for TLS (PostgreSQL's documentation, "Message Formats", SSLRequest)."""


def certificate() -> tuple[bytes, bytes]:
    """A certificate for 127.0.0.1, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pbx")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM), private


async def terminating(server: Postgres, context: ssl.SSLContext) -> asyncio.Server:
    """Terminate PostgreSQL's own TLS negotiation before a server that was built without TLS."""

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                sink.write(data)
                await sink.drain()
        except OSError:
            pass
        finally:
            sink.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.readexactly(8)
        if first == REQUEST:
            writer.write(b"S")
            try:
                await writer.start_tls(context)
            except (OSError, ConnectionError):
                return
            first = b""
        inner, outer = await asyncio.open_connection("127.0.0.1", server.port)
        outer.write(first)
        await asyncio.gather(pump(reader, outer), pump(inner, writer))

    return await asyncio.start_server(serve, "127.0.0.1", 0)


@pytest.fixture
async def settings(tmp_path: Path) -> AsyncIterator[DatabaseSettings]:
    """Of a server with TLS; its certificate is in ``ca_file``."""
    public, private = certificate()
    for name, content in (("ca.pem", public), ("key.pem", private)):
        (tmp_path / name).write_bytes(content)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "ca.pem", tmp_path / "key.pem")
    with postgres() as server:
        await pbx_database.make(server)
        proxy = await terminating(server, context)
        async with proxy:
            yield DatabaseSettings(
                host="127.0.0.1",
                port=proxy.sockets[0].getsockname()[1],
                user=pbx_database.READER,
                password=pbx_database.PASSWORD,
                ca_file=tmp_path / "ca.pem",
            )


async def test_a_certificate_is_checked(settings: DatabaseSettings, tmp_path: Path) -> None:
    assert (await ReadDatabase(settings).answer(ASK, 0))["count"] == 1
    with pytest.raises(CommandRefused, match="is not trusted") as caught:
        await ReadDatabase(replace(settings, ca_file=None)).check()
    assert caught.value.code == "sql_unavailable"
    assert 'tls = "require"' in str(caught.value)
    with pytest.raises(CommandRefused, match="is not trusted"):
        await ReadDatabase(replace(settings, host="localhost")).check()
    assert (await ReadDatabase(replace(settings, tls="require", ca_file=None)).answer(ASK, 0))[
        "count"
    ] == 1
    with pytest.raises(CommandRefused, match="larger than"):
        await ReadDatabase(settings).answer(
            "select string_agg(repeat('x', 10000), '') from generate_series(1, 10000)", 0
        )
    with pytest.raises(ConfigError, match="ca_file"):
        ReadDatabase(replace(settings, ca_file=tmp_path / "none.pem"))
