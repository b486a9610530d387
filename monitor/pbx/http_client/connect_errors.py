"""Say why a PBX could not be reached, in words that tell what to check.

The system's own words stand in brackets. This is the only module beside
:mod:`monitor.pbx.http_client.transport` that knows aiohttp.
"""

from __future__ import annotations

import errno
import ssl
from typing import Final

import aiohttp

_NOT_YET: Final = 9
_EXPIRED: Final = 10
_OTHER_NAME: Final = frozenset((62, 64))
"""Codes for another host's name and another address.

These and the codes above are verification codes of OpenSSL's x509_vfy.h."""


def cause(error: Exception, *, tls: bool) -> str:
    """Return the rest of a sentence that begins with "The PBX cannot be reached:".

    ``tls``: True if we spoke TLS.
    """
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return _distrust(error.certificate_error)
        case aiohttp.ClientConnectorDNSError():
            return (
                f"the name {error.host} is not known ({_said(error)}); see url, and this host's DNS"
            )
        case aiohttp.ClientSSLError():
            right = "see the port in url, and whether it is http:// there"
            return f"its port does not use TLS as callmon knows it ({_said(error)}); {right}"
        case aiohttp.ClientConnectorError() if error.os_error.errno == errno.ECONNREFUSED:
            return (
                f"nothing listens at {error.host}:{error.port}; see the port in url, and "
                f"whether the PBX runs"
            )
        case aiohttp.ClientConnectorError():
            return (
                f"there is no route to {error.host}:{error.port} ({_said(error)}); see network "
                f"and firewalls"
            )
        case aiohttp.ConnectionTimeoutError():
            return (
                "no connection could be made in time; see the address in url, network and firewalls"
            )
        case aiohttp.ServerDisconnectedError() if not tls:
            return "it closes the connection without an answer; does it need https:// in url?"
        case aiohttp.ClientResponseError() | aiohttp.InvalidURL():
            return type(error).__name__  # their text has the address, which may hold a key
    return str(error) or type(error).__name__


def _distrust(error: Exception) -> str:
    code = error.verify_code if isinstance(error, ssl.SSLCertVerificationError) else 0
    said = (
        error.verify_message.removesuffix(".")
        if isinstance(error, ssl.SSLCertVerificationError)
        else str(error)
    )
    if code == _EXPIRED:
        return (
            f"its certificate has expired ({said}); renew it at the PBX, or see this host's clock"
        )
    if code == _NOT_YET:
        return f"its certificate is not valid yet ({said}); see the clocks of both"
    if code in _OTHER_NAME:
        return (
            f"its certificate is for another name ({said}); use a name from the certificate in url"
        )
    return (
        f"its certificate is not trusted ({said}); name the file with its authority's certificate "
        f"(PEM) as ca_file in [[pbx]]"
    )


def _said(error: aiohttp.ClientConnectorError) -> str:
    return error.os_error.strerror or str(error.os_error)
