"""Explain why Redis did not do what was asked: one short sentence with what would be right. Pure.

The sentence is for logs and administrators. A failure is recognised by its text, which comes from
the server, the client library or the system. No part of that text is shown that may hold a
password: addresses are cut out of it, and representations of objects are not shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_LONGEST: Final = 200
"""Characters that are shown of a text that is not known here."""
_WHERE: Final = re.compile(r"connecting to (\S+)")

_OF_CLUSTER: Final = (
    "it is a node of a Cluster, which holds other keys; write "
    "redis+cluster://host:port,host:port as url"
)
_KNOWN: Final = (
    (
        re.compile(r"Authentication required|NOAUTH"),
        (
            "it needs a password and none was given; write redis://user:password@host:port/0 as "
            "url in [redis], "
            "or with the Debian package into /etc/callmon/redis/monitor.url and gateway.url"
        ),
    ),
    (
        re.compile(r"invalid username-password|WRONGPASS|invalid password"),
        (
            "it does not accept the user and the password in url; see Redis' users' file, "
            "which make-acl.sh writes from the files *.password, and which Redis reads when "
            "it starts"
        ),
    ),
    (
        re.compile(r"without any password configured|no password is set"),
        "it needs no password, but url has one; take it out of url, or set one at Redis",
    ),
    (
        re.compile(r"DB index is out of range|invalid DB index"),
        "it has no database of that number; url should end in /0",
    ),
    (re.compile(r"SELECT is not allowed in cluster mode|^MOVED "), _OF_CLUSTER),
    (re.compile(r"^\d+ \S"), _OF_CLUSTER),  # the client's words for MOVED: slot and node alone
    (
        re.compile(r"cluster support disabled"),
        "it is not a Cluster; write redis://host:port/0 as url",
    ),
    (
        re.compile(r"unknown command '?`?SENTINEL"),
        (
            "it is not a Sentinel; url names the Sentinels (port 26379) or, with redis://, the "
            "server itself"
        ),
    ),
    (
        re.compile(r"unknown command '?`?(MULTI|WATCH|SET|GET|EXISTS|HGETALL|INFO)\b"),
        (
            "it is a Sentinel or another server than Redis; for Sentinels write "
            "redis+sentinel://host:26379/mymaster"
        ),
    ),
    (
        re.compile(r"NOPERM|No permissions|has no permissions"),
        "its user may not do that ({said}); callmon check names each right missing",
    ),
    (
        re.compile(r"READONLY|read only replica"),
        "it is a replica; name the master in url, or its Sentinels",
    ),
    (re.compile(r"LOADING|loading the dataset"), "it is still loading its data; wait until it has"),
    (
        re.compile(r"MASTERDOWN|Link with MASTER is down"),
        "it is a replica without its master; see that one",
    ),
    (
        re.compile(r"CLUSTERDOWN|cluster is down|Hash slot not served"),
        "its Cluster is not whole; see redis-cli cluster info there",
    ),
    (re.compile(r"maxmemory|OOM"), "its memory is full ({said}); see maxmemory there"),
    (
        re.compile(r"MISCONF"),
        "it cannot write to its disk, and takes no changes until it can ({said}); see its log",
    ),
    (re.compile(r"max number of clients"), "it has too many clients; see maxclients there"),
    (
        re.compile(r"protected mode"),
        (
            "it is in protected mode and serves only its own host; give it users (deploy/redis) "
            "and an address"
        ),
    ),
    (
        re.compile(r"Hostname mismatch|IP address mismatch"),
        "its certificate is for another name; use a name from the certificate in url",
    ),
    (
        re.compile(r"certificate has expired"),
        "its certificate has expired; renew it, or see this host's clock",
    ),
    (
        re.compile(r"CERTIFICATE_VERIFY_FAILED"),
        (
            "its certificate is not trusted; name the file with its authority's certificate (PEM) "
            "as ca_file in [redis]"
        ),
    ),
    (
        re.compile(r"certificate required|CERTIFICATE_REQUIRED"),
        "it asks its clients for a certificate; callmon has none",
    ),
    (
        re.compile(r"NO_CERTIFICATE_OR_CRL_FOUND|no certificate or crl|PEM lib|NO_START_LINE"),
        "ca_file in [redis] cannot be used: it has no certificate in PEM",
    ),
    (
        re.compile(r"WRONG_VERSION_NUMBER|RECORD_LAYER|record layer|wrong version number|SSL"),
        (
            "the server{at} does not use TLS as callmon knows it; write redis:// instead of "
            "rediss://, or see the port in url"
        ),
    ),
    (
        re.compile(r"Protocol Error|InvalidResponse"),
        "the server{at} is not Redis; see the port in url in [redis]",
    ),
    (
        re.compile(
            r"Connection closed|closed by server|Connection reset|Connection lost|Error "
            r"104|Error 32"
        ),
        (
            "it closes the connection without an answer{of}; does it need TLS (rediss:// in url), "
            "or is it another server?"
        ),
    ),
    (
        re.compile(r"Connection refused|Connect call failed|Error 111|Error 61\b"),
        "nothing listens{at}; see url in [redis], and whether Redis runs and binds that address",
    ),
    (
        re.compile(
            r"not known|name resolution|No address associated|getaddrinfo|label "
            r"empty|label too long"
        ),
        "that name is not known{of}; see url in [redis], and this host's DNS",
    ),
    (
        re.compile(r"Timeout connecting"),
        (
            "no connection could be made in time; see the address in url, whether TLS begins "
            "there, network and firewalls"
        ),
    ),
    (
        re.compile(r"No route|unreachable|Error 113|Error 101"),
        "there is no route to it{of}; see the address in url, network and firewalls",
    ),
    (
        re.compile(r"Error 2 connecting to (unix:)?/"),
        "there is no such socket{of}; see url, and unixsocket at Redis",
    ),
    (
        re.compile(r"Error 13 connecting to (unix:)?/"),
        (
            "this user may not use the socket{of}; see unixsocketperm at Redis, or add the user to "
            "its group"
        ),
    ),
    # To a host and a port: the client reads ca_file before it connects.
    (
        re.compile(r"Error (2|20) connecting to"),
        "ca_file in [redis] cannot be used: there is no such file",
    ),
    (
        re.compile(r"Error 13 connecting to"),
        (
            "ca_file in [redis] cannot be used: this user may not read it; chmod a+r, or run this "
            "with sudo"
        ),
    ),
    (
        re.compile(r"Error 21 connecting to"),
        "ca_file in [redis] cannot be used: it is a directory",
    ),
)
"""Patterns of a failure's text, each with its sentence; the first that fits counts.

``{at}``: " at HOST:PORT", or " there" if the text does not tell it; ``{of}``: " (HOST:PORT)", or
nothing; ``{said}``: its own words."""
_EXPLAINED: Final = ("no Sentinel tells", "no node of the Cluster says", "this node of the Cluster")
"""Beginnings of our own texts about several servers."""
_NO_ANSWER: Final = "it does not answer in time; see whether it hangs, its load and the network"


def explain(error: BaseException) -> str:
    """Return why Redis did not do it and what to look at, without a full stop.

    ``error``: as the client raised it.
    """
    said = str(error)
    if said.startswith(_EXPLAINED):
        return said
    known = _known(said)
    if known:
        return known
    if isinstance(error, TimeoutError) or "imeout" in said or "imeout" in type(error).__name__:
        return _NO_ANSWER
    if isinstance(error, FileNotFoundError | PermissionError):
        return f"ca_file in [redis] cannot be used: {error.strerror}"
    return f"{_short(said) or type(error).__name__}; see url in [redis], and the server's log"


def _known(said: str) -> str:
    for words, sentence in _KNOWN:
        if words.search(said):
            found = _WHERE.search(said)
            where = "" if found is None else found[1].rstrip(".:")
            at, of = (
                (f" at {where}", f" ({where})") if "/" in where or ":" in where else (" there", "")
            )
            return sentence.format(at=at, of=of, said=_short(said))
    return ""


def no_master(name: str, reasons: Iterable[str]) -> str:
    """Return a sentence: no Sentinel tells the master of this name.

    ``reasons``: one for each Sentinel, with its address.
    """
    return (
        f"no Sentinel tells the master {name!r}: {', '.join(reasons)}; see url in [redis], "
        f"which ends in that name"
    )


def in_short(error: BaseException) -> str:
    """Return what one of several servers does wrong, in a few words."""
    words = f"{type(error).__name__} {error}"
    for pattern, reason in (
        (
            re.compile(r"Authentication required|NOAUTH"),
            "needs a password (sentinel_password in url)",
        ),
        (
            re.compile(r"username-password|WRONGPASS|password"),
            "does not accept the password (sentinel_password in url)",
        ),
        (re.compile(r"refused|Connect call failed|Error 111"), "does not listen"),
        (re.compile(r"not known|name resolution|No address"), "is a name that is not known"),
        (re.compile(r"CERTIFICATE"), "has a certificate that is not trusted"),
        (re.compile(r"SSL|record layer"), "does not use TLS"),
        (re.compile(r"unknown command"), "is not a Sentinel"),
        (re.compile(r"imeout"), "does not answer"),
        (re.compile(r"closed|reset|lost"), "hangs up"),
    ):
        if pattern.search(words):
            return reason
    return "cannot be asked"


def _short(said: str) -> str:
    """Return the text in one line, without what looks like an object or a login."""
    words = re.sub(r"<[^<>]*>", "…", said).split()
    line = " ".join(map(_without_login, words)).rstrip(".")
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} …"


def _without_login(word: str) -> str:
    """Return an address without scheme, user and password; any other word as it is."""
    _, _, rest = word.partition("://")
    return f"…{rest.rpartition('@')[2]}" if "@" in rest else word
