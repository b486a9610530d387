"""Open a stream client's connection to a gateway; say in one sentence why it does not open.

It handles TLS and proxies. A trouble is ``final`` where waiting cannot mend it: the gateway's
own refusal, a certificate that is not trusted, a service of another kind, or a permanent
redirect. All else may pass: a closed port, an unknown name, silence, 5xx, a certificate out of
its time, or a proxy that is away.

Proxies come from the environment (``http_proxy``, ``https_proxy``, ``no_proxy``). Addresses of
this machine are always reached directly.
"""

from __future__ import annotations

import asyncio
import errno
import json
import re
import socket
import ssl
import threading
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Final, Literal, TypeAlias
from urllib.parse import urljoin, urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    InvalidHandshake,
    InvalidMessage,
    InvalidProxy,
    InvalidProxyMessage,
    InvalidProxyStatus,
    InvalidStatus,
    InvalidURI,
    ProxyError,
)
from websockets.http11 import Response
from websockets.proxy import get_proxy, parse_proxy
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from .errors import StreamMisconfigured

ProxyChoice: TypeAlias = str | Literal[True] | None
"""True: as the environment says; None: none; else the proxy's address."""

HANDSHAKE_TIMEOUT_S: Final = 10.0
_DISTRIBUTIONS: Final = ("callmon-client", "callmon")
"""The distributions that these files come with."""
_LARGEST_FRAME_BYTES: Final = 64 * 1024 * 1024
_COME_BACK: Final = frozenset((408, 425, 429))
_PERMANENT: Final = frozenset((301, 308))
_NOT_YET: Final = 9
_EXPIRED: Final = 10
_OTHER_NAME: Final = frozenset((62, 64))
"""Verification codes of OpenSSL's x509_vfy.h, as those above: another host's name, another
address."""
_NO_TLS: Final = frozenset(
    ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST")
)
"""OpenSSL's errors when the first bytes are not TLS; which one comes depends on its version."""
_LONGEST_QUOTE: Final = 60
_CADDY_WANTS_TLS: Final = "HTTP/1.0 400 Bad Request"
"""Status line of programs in Go, Caddy among them, when they get clear text on a TLS port."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Describe why there is no connection. ``reason``: a sentence.

    ``code``: the HTTP status or the close code; 0 if there is none. ``final``: waiting cannot
    mend it. ``own``: the gateway itself said it. ``retry_in``: the range of seconds after which
    to come back, if one was given. ``later``: do not come back at once.
    """

    reason: str
    code: int = 0
    final: bool = False
    own: bool = False
    retry_in: tuple[float, float] | None = None
    later: bool = False


class GatewayTarget:
    """Hold where a gateway's stream is and the way to it.

    ``url``: ``ws://``, ``wss://``, ``http://`` or ``https://``. ``context`` or ``ca_file``: the
    authorities to trust, in place of the system's. ``pbx``: the PBX to name; empty: none. Raises
    StreamMisconfigured for an address or a file that cannot be used.
    """

    def __init__(
        self,
        url: str,
        context: ssl.SSLContext | None = None,
        ca_file: str | Path | None = None,
        proxy: ProxyChoice = True,
        pbx: str = "",
    ) -> None:
        self._named = {"Callmon-Pbx": header_value("PBX's name", pbx)} if pbx else {}
        self._url = re.sub("^http", "ws", url)
        try:
            parsed = parse_uri(self._url)
            self.host, self._port, self._secure, self._path = (
                parsed.host,
                parsed.port,
                parsed.secure,
                parsed.path,
            )
        except (InvalidURI, ValueError):
            raise StreamMisconfigured(
                f"{_bare(url)} is not the address of a stream; an example is "
                f"ws://127.0.0.1:8765/webapi/stream"
            ) from None
        self._context = None
        if self._secure:
            self._context = context or tls_context(ca_file)
        self._proxy = self._chosen(proxy)

    @property
    def where(self) -> str:
        """Return scheme, host and port, for messages."""
        return self._address("https" if self._secure else "http")

    @property
    def silent(self) -> str:
        """Return the sentence for a host that does not answer."""
        if self._proxy is not None:
            return f"Neither the proxy {self._via} nor {self.where} behind it answers."
        return f"{self.where} does not answer: check the address, the network and firewalls."

    async def connect(self, key: str, subprotocol: str) -> ClientConnection:
        """Open the connection. It follows no redirect: the key is for this address alone.

        :meth:`trouble` explains what it raises.
        """
        opening = _ProxiedConnect(
            self._url,
            additional_headers={"Authorization": f"Bearer {key}"} | self._named,
            subprotocols=[Subprotocol(subprotocol)],
            user_agent_header=_user_agent(),
            max_size=_LARGEST_FRAME_BYTES,
            open_timeout=HANDSHAKE_TIMEOUT_S,
            ping_interval=None,
            close_timeout=1.0,
            proxy=self._proxy,
            ssl=self._context,
        )
        await _look_up(self.host if self._proxy is None else parse_proxy(self._proxy).host)
        try:
            return await opening
        except (
            AssertionError
        ):  # websockets' reaction if the other side speaks first, like mail and SSH
            raise InvalidMessage("no HTTP") from ValueError("it speaks before it is asked")

    def trouble(self, error: Exception) -> Trouble:
        """Return what went wrong before the connection was open."""
        match error:
            case InvalidProxyStatus() | InvalidProxyMessage() | ProxyError() | ImportError():
                return self._proxy_trouble(error)
            case InvalidStatus():
                return self._answered(error.response)
            case ssl.SSLError():
                return self._tls_trouble(error)
            case TimeoutError():
                return Trouble(self.silent)
            case OSError():
                return Trouble(self._unreachable(error))
            case InvalidMessage() if isinstance(error.__cause__, EOFError):
                hint = (
                    ""
                    if self._secure
                    else f" If it uses TLS, the address is {self._address('https')}."
                )
                return Trouble(f"{self.where} closes the connection without an answer.{hint}")
            case InvalidMessage():
                said = str(error.__cause__ or error)
                if not self._secure and said.endswith(_CADDY_WANTS_TLS):
                    return Trouble(
                        f"{self.where} needs TLS: the address is {self._address('https')}.",
                        final=True,
                    )
                cut = f"…{said[-_LONGEST_QUOTE:]}" if len(said) > _LONGEST_QUOTE else said
                return self._other_service(f"its answer is not HTTP ({cut})")
            case InvalidHandshake():
                return self._other_service(f"it does not open a WebSocket as it should ({error})")
            case _:
                return Trouble(f"{self.where} cannot be reached: {error!r}.")

    # Answers

    def _answered(self, response: Response) -> Trouble:
        status, own = response.status_code, _own_error(response.body)
        retry_in = _retry_after(response.headers)
        passes = status >= 500 or status in _COME_BACK
        if own is not None:
            return self._gateway_said(status, *own, passes=passes, retry_in=retry_in)
        if 300 <= status < 400:
            return self._redirected(status, response.headers.get("Location", ""))
        said = f"{status} {response.reason_phrase}".strip()
        if passes:
            return Trouble(
                f"{self.where} answers {said}: it is not a gateway, but perhaps a proxy in "
                f"front of one.",
                status,
                retry_in=retry_in,
            )
        if status == 400 and not self._secure and b"https" in bytes(response.body or b"").lower():
            return Trouble(
                f"{self.where} needs TLS: the address is {self._address('https')}.",
                status,
                final=True,
            )
        if status == 426:
            return Trouble(_NO_UPGRADE.format(self.where), status, final=True)
        return self._other_service(f"it answers {said} at {self._path or '/'}", status)

    def _gateway_said(
        self,
        status: int,
        code: str,
        message: str,
        *,
        passes: bool,
        retry_in: tuple[float, float] | None,
    ) -> Trouble:
        if code == "upgrade_required":
            return Trouble(_NO_UPGRADE.format(self.where), status, final=True)
        if passes:
            said = (
                f"The gateway at {self.where} accepts no connection now ({status} {code}): "
                f"{message}"
            )
            return Trouble(said, status, own=True, retry_in=retry_in)
        return Trouble(message, status, final=True, own=True)

    def _redirected(self, status: int, location: str) -> Trouble:
        target = urlsplit(
            urljoin(self._address("https" if self._secure else "http") + self._path, location)
        )
        to_tls = not self._secure and target.scheme == "https" and target.hostname == self.host
        final = to_tls or status in _PERMANENT
        place = f"{target.scheme}://{target.netloc.rpartition('@')[2]}"
        text = (
            f"{self.where} redirects to {place} ({status}), and callmon does not send the key "
            f"there by itself"
        )
        return Trouble(f"{text}: if that is the gateway, give its address.", status, final=final)

    def _other_service(self, why: str, status: int = 0) -> Trouble:
        return Trouble(
            f"{self.where} is not a gateway of callmon: {why}. Check host, port and path.",
            status,
            final=True,
        )

    # Failures before an answer

    def _unreachable(self, error: OSError) -> str:
        if self._proxy is not None:
            return f"The proxy {self._via} cannot be reached: {_said(error)}. {_PROXY_HELP}"
        match error:
            case socket.gaierror() if error.errno == socket.EAI_AGAIN:
                return f"The name {self.host} cannot be looked up now: no name server answers."
            case socket.gaierror():
                return f"The name {self.host} is not known ({_said(error)}): check the address."
            case ConnectionRefusedError():
                return (
                    f"Nothing listens at {self.where}: is a gateway running there, and is this "
                    f"its port?"
                )
            case ConnectionError():
                return f"{self.where} closes the connection at once: {_said(error)}."
            case _ if f"[Errno {errno.ECONNREFUSED}]" in str(
                error
            ):  # asyncio's error for several addresses
                return (
                    f"Nothing listens at {self.where}: is a gateway running there, and is this "
                    f"its port?"
                )
            case _:
                return f"There is no route to {self.where}: {_said(error)}."

    def _tls_trouble(self, error: ssl.SSLError) -> Trouble:
        if isinstance(error, ssl.SSLCertVerificationError):
            return self._distrusted(error)
        if error.reason in _NO_TLS:
            text = (
                f"{self.where} does not use TLS: if a gateway is there, its address is "
                f"{self._address('http')}."
            )
            return Trouble(text, final=True)
        return Trouble(f"No TLS connection could be made to {self.where}: {_said(error)}.")

    def _distrusted(self, error: ssl.SSLCertVerificationError) -> Trouble:
        said = (error.verify_message or _said(error)).removesuffix(".")
        whose = f"The certificate of {self.where}"
        if error.verify_code == _EXPIRED:
            return Trouble(
                f"{whose} has expired ({said}): renew it, or check this machine's clock."
            )
        if error.verify_code == _NOT_YET:
            return Trouble(f"{whose} is not valid yet ({said}): check the clocks of both machines.")
        if error.verify_code in _OTHER_NAME:
            text = (
                f"{whose} is for another name ({said}): use a name from the certificate in "
                f"the address."
            )
        else:
            text = (
                f"{whose} is not trusted ({said}): give its authority's file with --ca-file "
                f"(ca_file)."
            )
        return Trouble(text, final=True)

    # Proxy

    def _chosen(self, proxy: ProxyChoice) -> str | None:
        if proxy is True:
            proxy = proxy_of_environment(self.host, self._port, secure=self._secure)
        if not proxy:
            return None
        proxy = proxy if "://" in proxy else f"http://{proxy}"
        try:
            parse_proxy(proxy)
        except (InvalidProxy, ValueError) as error:
            why = error.msg if isinstance(error, InvalidProxy) else error
            raise StreamMisconfigured(
                f"{_bare(proxy)} is not a proxy's address: {why}. {_PROXY_HELP}"
            ) from None
        return proxy

    @property
    def _via(self) -> str:
        """Return the proxy's address without name and password."""
        return _bare(self._proxy or "")

    def _proxy_trouble(self, error: Exception) -> Trouble:
        match error:
            case InvalidProxyStatus() if error.response.status_code == 407:
                return Trouble(
                    f"The proxy {self._via} needs a name and a password (407). {_PROXY_HELP}",
                    407,
                    final=True,
                )
            case InvalidProxyStatus():
                status, phrase = error.response.status_code, error.response.reason_phrase
                text = f"The proxy {self._via} answers {status} {phrase}".rstrip()
                return Trouble(f"{text} to a connection with {self.where}. {_PROXY_HELP}", status)
            case ImportError():
                text = (
                    f"The proxy {self._via} speaks SOCKS, which needs the Python package "
                    f"python-socks. {_PROXY_HELP}"
                )
                return Trouble(text, final=True)
            case _:
                said = error.__cause__ or error
                return Trouble(
                    f"{self._via} does not answer as a proxy does: {said}. {_PROXY_HELP}"
                )

    def _address(self, scheme: str) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = self._port == (443 if self._secure else 80)
        return f"{scheme}://{host}" if default else f"{scheme}://{host}:{self._port}"


class _ProxiedConnect(connect):
    """Open a connection, and follow no redirect."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Return the answer itself, as it came."""
        return exc


_PROXY_HELP: Final = (
    "The proxy is set by http_proxy or https_proxy; no_proxy lists the hosts to reach without it."
)
_NO_UPGRADE: Final = (
    "{} does not pass WebSocket on: a proxy in front of the gateway must pass on "
    "Upgrade and Connection (426)."
)


def tls_context(ca_file: str | Path | None = None, *, insecure: bool = False) -> ssl.SSLContext:
    """Return a TLS context that trusts the authorities of ``ca_file``, else the system's.

    ``insecure``: trust anybody, for trials only. Raises StreamMisconfigured for a file that cannot
    be used.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # SSLError is a subclass
        why = "it has no certificate in PEM" if isinstance(error, ssl.SSLError) else error.strerror
        raise StreamMisconfigured(f"The CA file {ca_file} cannot be used: {why}.") from error
    if ca_file is not None:  # what people make often lacks a key usage, which Python 3.13 asks for
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def stream_url(address: str) -> str:
    """Return the stream's address at a gateway's address, as people write it.

    ``address`` may end in ``/webapi``, ``/wall``, ``/docs`` or none of these. Raises
    StreamMisconfigured if it is not a gateway's address.
    """
    example = "it looks like http://127.0.0.1:8765"
    try:
        parts = urlsplit(address.strip())
    except ValueError:  # half a pair of brackets
        parts = urlsplit("")
    if parts.scheme not in ("http", "https", "ws", "wss") or not parts.hostname:
        raise StreamMisconfigured(f"{_bare(address)!r} is not a gateway's address; {example}")
    path, webapi, rest = parts.path.partition("/webapi")
    if webapi and rest.strip("/") not in ("", "stream", "events"):
        raise StreamMisconfigured(
            f"A gateway's address ends before /webapi: {example}. The key goes with --key."
        )
    if not webapi:
        path = path.rstrip("/").removesuffix("/wall").removesuffix("/docs").rstrip("/")
    scheme = "wss" if parts.scheme in ("https", "wss") else "ws"
    return f"{scheme}://{parts.netloc}{path}/webapi/stream"


def header_value(what: str, text: str) -> str:
    """Return a text that goes into a header, without the blanks and line ends around it.

    ``what``: what it is, for a message. Raises StreamMisconfigured, without the text, if a control
    character is in it.
    """
    text = text.strip()
    if not text.isprintable():
        raise StreamMisconfigured(
            f"The {what} has a line end or another control character in it: give it alone."
        )
    return text


def _user_agent() -> str:
    """Return name and version of the distribution that is installed."""
    for name in _DISTRIBUTIONS:
        with suppress(PackageNotFoundError):
            return f"{name}/{version(name)}"
    return _DISTRIBUTIONS[0]


async def _look_up(host: str) -> None:
    """Look the name up. Raises gaierror if it is not known.

    This runs in a thread that nobody waits for. The event loop's own thread would keep a program
    from ending while no name server answers, for half a minute.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[OSError | None] = loop.create_future()

    def settle(error: OSError | None) -> None:
        if not found.done():
            found.set_result(error)

    def ask() -> None:
        error: OSError | None = None
        try:
            socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except OSError as raised:
            error = raised
        except UnicodeError:  # an empty or overlong part of the name, as in "a..b"
            error = socket.gaierror(socket.EAI_NONAME, "no name of a host")
        with suppress(RuntimeError):  # the loop is closed: nobody waits for the result
            loop.call_soon_threadsafe(settle, error)

    threading.Thread(target=ask, name="name lookup", daemon=True).start()
    try:
        async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
            error = await found
    except TimeoutError:
        error = socket.gaierror(socket.EAI_AGAIN, "no answer in time")
    if error is not None:
        raise error


def proxy_of_environment(host: str, port: int, *, secure: bool) -> str | None:
    """Return the proxy that the environment names for this host.

    Returns None for this machine, and for hosts in ``no_proxy``.
    """
    if _is_loopback(host) or _excepted(host):
        return None
    shown = f"[{host}]" if ":" in host else host
    return get_proxy(parse_uri(f"{'wss' if secure else 'ws'}://{shown}:{port}/"))


def _is_loopback(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _excepted(host: str) -> bool:
    """Return whether ``no_proxy`` has the network of an address, such as 10.0.0.0/8.

    The library handles names.
    """
    try:
        address = ip_address(host)
    except ValueError:
        return False
    for part in urllib.request.getproxies().get("no", "").split(","):
        try:
            if address in ip_network(part.strip(), strict=False):
                return True
        except ValueError:
            continue
    return False


def _own_error(body: bytes | bytearray | None) -> tuple[str, str] | None:
    """Return code and sentence of a gateway's refusal; None if it is not a gateway's."""
    try:
        error = json.loads(body or b"")["error"]
        return str(error["code"]), str(error["message"])
    except (ValueError, KeyError, TypeError):
        return None


def _retry_after(headers: Mapping[str, str]) -> tuple[float, float] | None:
    after = headers.get("Retry-After", "")
    return (float(after), 2 * float(after)) if after.isascii() and after.isdecimal() else None


def _said(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__


def _bare(address: str) -> str:
    """Return the address without what may be secret: name, password, query, fragment."""
    scheme, mark, rest = address.rpartition("://")
    return scheme + mark + re.split("[?#]", rest.rpartition("@")[2])[0]
