"""Make certificates for the simulated PBX: an authority and a server certificate signed by it."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_VALID: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Represent PEM files. A client trusts ``ca_file``."""

    ca_file: Path
    certificate: Path
    key: Path


class Authority:
    """Sign certificates for ``host``, localhost, 127.0.0.1, ::1 and this machine's name.

    All certificates and the server's key are written into ``folder``, a first certificate at once.
    The authority's own key stays in memory.
    """

    def __init__(self, folder: Path, host: str = "localhost") -> None:
        self.files = CertificateFiles(
            folder / "ca.pem", folder / "certificate.pem", folder / "key.pem"
        )
        self._host = host
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._certificate = _authority(self._key)
        self.files.ca_file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))
        self.issue()

    def issue(self, valid: timedelta = _VALID) -> None:
        """Replace the server's key and certificate by new ones.

        ``valid``: how long from now; negative: it has expired.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            _builder("callmon simulator", self._certificate.subject, key, valid)
            .add_extension(x509.SubjectAlternativeName(_names(self._host)), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(issuer, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self.files.key.touch(mode=0o600)
        self.files.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )


def make_certificate(folder: Path, host: str = "localhost") -> CertificateFiles:
    """Make authority, certificate and key in ``folder``, valid for 30 days.

    See :class:`Authority`.
    """
    return Authority(folder, host).files


def _authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "callmon simulator authority")])
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        _builder("callmon simulator authority", name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _builder(
    name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, valid: timedelta = _VALID
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    begin = now - timedelta(minutes=5)  # a client's clock may be a little behind
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(begin, now + valid - timedelta(minutes=5)))
        .not_valid_after(now + valid)
    )


def _names(host: str) -> list[x509.GeneralName]:
    names = dict.fromkeys(("localhost", "127.0.0.1", "::1", host, socket.gethostname()))
    return [_name(name) for name in names if name not in ("0.0.0.0", "::")]


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
