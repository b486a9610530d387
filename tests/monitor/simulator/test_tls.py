"""A certificate of its own authority."""

from __future__ import annotations

import ssl
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from monitor.simulator.tls import Authority, CertificateFiles, make_certificate
from tests.monitor.simulator.api_client import QUIET, phones, running


async def test_tls_is_trusted_through_its_ca_file_and_only_so() -> None:
    async with running(settings=replace(QUIET, tls=True)) as client:
        assert client.pbx.url.startswith("https://")
        assert (await client.get("/callcontrol")).status == 200
        async with client.socket() as socket:
            caller, callee = phones(client.pbx)[:2]
            await client.makecall(caller, callee)
            await socket.frame()
            context = ssl.create_default_context(cafile=client.pbx.ca_file)
            local = client.pbx.url.replace("127.0.0.1", "localhost") + "/callcontrol"
            async with client.session.get(local, headers=client.headers, ssl=context) as response:
                assert response.status == 200
        async with aiohttp.ClientSession() as stranger:
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await stranger.get(client.pbx.url)
        await client.pbx.restart()
        assert (await client.mint()).status == 200
        ca_file = client.pbx.ca_file
        assert ca_file is not None
        assert ca_file.exists()
    assert not ca_file.exists()


def serve(files: CertificateFiles) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """What a server shows, and what a client trusts."""
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(files.certificate, files.key)
    return server, ssl.create_default_context(cafile=files.ca_file)


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, host: str) -> None:
    """Make a connection in memory. Raises SSLError."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(back, there, server_hostname=host)
    theirs = server.wrap_bio(there, back, server_side=True)
    for _ in range(4):
        for end in (ours, theirs):
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "pbx.example.com"])
def test_it_is_for_this_machine_and_for_the_host_that_was_named(tmp_path: Path, host: str) -> None:
    server, client = serve(make_certificate(tmp_path, "pbx.example.com"))
    shake_hands(server, client, host)
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        shake_hands(server, client, "other.example.com")


def test_the_authority_stays_and_an_expired_certificate_is_refused(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    _, client = serve(authority.files)
    authority.issue(timedelta(seconds=-1))
    expired, _ = serve(authority.files)
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        shake_hands(expired, client, "localhost")
    authority.issue()
    shake_hands(serve(authority.files)[0], client, "localhost")


def test_another_authority_is_not_trusted(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    server, _ = serve(make_certificate(tmp_path / "one"))
    _, client = serve(make_certificate(tmp_path / "other"))
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(server, client, "localhost")


def test_its_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    files = make_certificate(tmp_path)
    assert files.key.stat().st_mode & 0o077 == 0
