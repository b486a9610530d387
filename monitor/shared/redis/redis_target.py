"""Read the address of Redis in the settings: of one server, of Sentinels or of a Cluster. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final, TypeAlias
from urllib.parse import parse_qsl, unquote

from monitor.shared.errors import ConfigError

Address: TypeAlias = tuple[str, int]

_PORTS: Final = {"sentinel": 26379, "cluster": 6379}
_SINGLE: Final = {"db", "username", "password"}
_TLS: Final = {"ca_certs", "certfile", "keyfile", "cert_reqs", "check_hostname"}
_OPTIONS: Final = {
    "sentinel": {"sentinel_username", "sentinel_password"},
    "cluster": {"pubsub"},
    "redis": _SINGLE,
    "rediss": _SINGLE | {f"ssl_{name}" for name in _TLS},
    "unix": _SINGLE,
}
"""Options that an address may have. Those of one server are redis-py's: it reports a wrong one only
when it connects, and others of its options are not for a user to choose."""
_PUBSUB: Final = ("both", "sharded")
_PLAIN: Final = frozenset({"redis", "rediss", "unix"})
_ADDRESS: Final = re.compile(
    r"(?:\[(?P<six>[^\[\]]+)\]|(?P<host>[^\[\]:]+))(?::(?P<port>[0-9]{0,5}))?"
)
_LAST_PORT: Final = 65_535
_SCHEMES: Final = (
    *sorted(_PLAIN),
    *(f"{tls}+{kind}" for kind in _PORTS for tls in ("redis", "rediss")),
)


@dataclass(frozen=True, slots=True)
class RedisTarget:
    """Hold the addresses of several servers that are one Redis.

    ``hosts``: all Sentinels, or some of the Cluster's nodes.
    """

    kind: str
    """``sentinel`` or ``cluster``."""
    hosts: tuple[Address, ...]
    username: str | None = None
    password: str | None = None
    db: int = 0
    tls: bool = False
    master: str = ""
    """Name of the master at the Sentinels."""
    sentinel_username: str | None = None
    sentinel_password: str | None = None
    sharded_only: bool = False
    """True if messages on the Cluster go only the sharded way, which callmon 0.2 does not know."""

    @classmethod
    def parse(cls, url: str) -> RedisTarget | None:
        """Parse an address; return None if it is of one server.

        For Sentinels: ``redis+sentinel://[user:password@]host:port,host:port/master/db``, with the
        options ``?sentinel_username=…&sentinel_password=…``. For a Cluster:
        ``redis+cluster://[user:password@]host:port,host:port``, with the option
        ``?pubsub=sharded``, or ``both``, the default. With ``rediss`` for TLS.

        Raises ConfigError, without the parts that may be a password.
        """
        # Not by urlsplit: in new Pythons it raises ValueError for the host "a,[::1]:26379".
        whole, separator, rest = url.partition("://")
        full_scheme = whole.lower() if separator else ""
        scheme, _, kind = full_scheme.partition("+")
        if full_scheme not in _SCHEMES:
            raise ConfigError(_no_scheme(full_scheme))
        if full_scheme != "unix":  # an "@" may be in a path
            _check_login(rest)
        place, _, query = rest.partition("?")
        given = dict(parse_qsl(query, keep_blank_values=True))
        if unknown := sorted(given.keys() - _OPTIONS[kind or scheme]):
            raise ConfigError(f"redis url: {full_scheme}:// has no option {', '.join(unknown)}.")
        if not kind:
            _check_single(url)
            return None
        netloc, _, names = place.partition("/")
        login, _, hosts = netloc.rpartition("@")
        username, _, password = login.partition(":")
        if (pubsub := given.get("pubsub", "both")) not in _PUBSUB:
            raise ConfigError(f"redis url: pubsub is {' or '.join(_PUBSUB)}, not {pubsub[:20]!r}.")
        master, db = _master_and_database(full_scheme, kind, names)
        return cls(
            kind,
            tuple(_address(host, _PORTS[kind]) for host in hosts.split(",")),
            unquote(username) or None,
            unquote(password) or None,
            db,
            scheme == "rediss",
            master,
            given.get("sentinel_username"),
            given.get("sentinel_password"),
            pubsub == "sharded",
        )


def _no_scheme(scheme: str) -> str:
    """Return what is wrong with an address that begins with none of our schemes.

    ``scheme``: empty if it has none.
    """
    begins = (
        f"it begins with {scheme}://, which is unknown"
        if scheme
        else "it does not begin with redis://"
    )
    return (
        f"redis url: {begins}; write it as redis://127.0.0.1:6379/0 (others: "
        f"{', '.join(_SCHEMES)})."
    )


def _check_login(rest: str) -> None:
    """Raise ConfigError if a character of user or password ends the address before its host.

    ``rest``: what follows ``://``. Values of options may have an "@".
    """
    login_and_place = re.split(r"\?[a-z_]+=", rest)[0]
    if "@" in login_and_place and "@" not in re.split("[/?#]", rest)[0]:
        raise ConfigError(
            "redis url: in user and password write %2F for /, %3F for ? and %23 for #."
        )


def _check_single(url: str) -> None:
    """Raise ConfigError unless the address of one server can be parsed."""
    place, _, rest = re.sub("[?#].*", "", url.partition("://")[2]).partition("/")
    host = place.rpartition("@")[2]
    if url.lower().startswith("unix:"):
        if host:
            raise ConfigError("redis url: write three slashes, as in unix:///run/redis/redis.sock.")
        return
    if host:  # without a host it is the one that callmon runs on
        _address(host, _PORTS["cluster"])
    if not (rest.strip("/") or "0").isdecimal():  # the client would take 0 instead
        raise ConfigError("redis url: the database is a number, such as 0.")


def _master_and_database(full_scheme: str, kind: str, names: str) -> tuple[str, int]:
    """Return the master's name (empty for a Cluster) and the database. Raises ConfigError.

    ``names``: the path of the address.
    """
    path = [unquote(part) for part in names.split("/") if part]
    if kind == "sentinel" and not path:
        raise ConfigError(
            f"redis url: {full_scheme}:// needs the name that the Sentinels know: …:26379/mymaster"
        )
    master = path.pop(0) if kind == "sentinel" else ""
    db = path[0] if path else "0"
    if len(path) > 1 or not db.isdecimal():
        raise ConfigError("redis url: the database is a number, such as 0.")
    if kind == "cluster" and db != "0":
        raise ConfigError("redis url: a Cluster has only database 0.")
    return master, int(db)


def _address(text: str, port: int) -> Address:
    """Return the host and the port in a text. Raises ConfigError.

    ``text``: ``host``, ``host:port``, ``[::1]`` or ``[::1]:port``. ``port``: the default.
    """
    if not text or (text.startswith(":") and text.count(":") == 1):
        raise ConfigError("redis url: a host is missing; write host:port, as in 127.0.0.1:6379")
    found = _ADDRESS.fullmatch(text)
    if found is None:
        if text.count(":") > 1:
            raise ConfigError(
                f"redis url: {text!r} is not a host; write an IPv6 address in brackets, as in "
                f"[::1]:6379."
            )
        raise ConfigError(f"redis url: {text!r} has no port between 1 and 65535.")
    if found["port"] and not 1 <= int(found["port"]) <= _LAST_PORT:
        raise ConfigError(f"redis url: {text!r} has no port between 1 and 65535.")
    if found["six"]:
        try:
            IPv6Address(found["six"])
        except ValueError as error:
            raise ConfigError(f"redis url: {found['six']!r} is not an IPv6 address.") from error
    return (found["six"] or found["host"]).lower(), int(found["port"] or port)
