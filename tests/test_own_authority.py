"""Test that every client takes an authority that people made themselves, by the file it is given.

``openssl req -x509`` writes no key usage into an authority. Python 3.13 and later ask for one
unless told otherwise; earlier versions, browsers and curl do not.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from redis.asyncio.connection import SSLConnection

from gateway.stream_client import connect
from monitor.pbx.database import client as database
from monitor.pbx.http_client import transport
from monitor.shared.redis.connection import connect as connect_redis
from tests.monitor.simulator.test_tls import shake_hands

HOST = "calls.example.com"


def to_the_pbx(ca_file: Path) -> ssl.SSLContext:
    context = transport.tls_context(f"https://{HOST}", ca_file, verify=True)
    assert context is not None
    return context


def to_the_database(ca_file: Path) -> ssl.SSLContext:
    settings = database.DatabaseSettings(host=HOST, user="x", password="x", ca_file=ca_file)
    context = database._ssl(settings)
    assert isinstance(context, ssl.SSLContext)
    return context


def to_redis(ca_file: Path) -> ssl.SSLContext:
    pool = connect_redis(f"rediss://{HOST}", ca_file).connection_pool
    connection = pool.connection_class(**pool.connection_kwargs)
    assert isinstance(connection, SSLConnection)
    return connection.ssl_context.get()


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make contexts as Python 3.13 does, whichever runs the test."""
    made = ssl.create_default_context

    def strictly(*args: Any, **named: Any) -> ssl.SSLContext:
        context = made(*args, **named)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", strictly)


@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize("trusting", [connect.tls_context, to_the_pbx, to_the_database, to_redis])
def test_an_authority_without_a_key_usage_is_taken_from_its_file(
    tmp_path: Path, trusting: Callable[[Path], ssl.SSLContext]
) -> None:
    for name in ("ours", "other"):
        (tmp_path / name).mkdir()
        make(tmp_path / name)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "ours/server.pem", tmp_path / "ours/key.pem")
    shake_hands(server, trusting(tmp_path / "ours/ca.pem"), HOST)
    with pytest.raises(ssl.SSLCertVerificationError, match="verify failed"):
        shake_hands(server, trusting(tmp_path / "other/ca.pem"), HOST)


def make(folder: Path) -> None:
    """Make ``ca.pem``, and ``server.pem`` with ``key.pem``, as ``openssl`` does by its defaults."""
    authority, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    identifier = x509.SubjectKeyIdentifier.from_public_key(authority.public_key())
    issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
    ca = (
        builder("Our own authority", authority.public_key())
        .add_extension(identifier, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(authority, hashes.SHA256())
    )
    server = (
        builder(HOST, key.public_key())
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .add_extension(issuer, critical=False)
        .sign(authority, hashes.SHA256())
    )
    for name, certificate in (("ca.pem", ca), ("server.pem", server)):
        (folder / name).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def builder(name: str, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Our own authority")]))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
    )
