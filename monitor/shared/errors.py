"""What can go wrong, sorted by what the caller should do.

::

    CallmonError
    ├── ConfigError          give up: a setting is wrong; the sentence says which and what would be right
    │   └── StartFailed      start again later: what a setting names cannot be had now, such as an address in use
    ├── PbxError             the PBX, not us
    │   ├── PbxUnreachable   retry with back-off: network, TLS hand-shake, 5xx, 429, no answer in time
    │   │   └── PbxGarbled   the same: it answered, but not what can be understood
    │   ├── PbxRefused       give up: the request is wrong or not allowed (400, 403, 404 …); ``code`` says how
    │   └── TokenRefused     mint afresh with back-off: credentials or token were not accepted (401)
    ├── CommandRefused       tell the caller: nothing was changed, and why
    ├── OutcomeUnknown       tell the caller: perhaps it was done, perhaps not; never repeat it by ourselves
    ├── StoreFailed          the monitor's own file: what was to be kept is not
    └── BusError             Redis
        ├── BusUnreachable   retry with back-off
        ├── Fenced           step down: another writer's epoch or lease stands in the store
        └── HistoryLost      start a new epoch with the whole state: the store is behind what we wrote
"""

from __future__ import annotations

import errno
from typing import Final, Literal, TypeAlias

RefusalKind: TypeAlias = Literal["missing", "conflict", "bad"]


class CallmonError(Exception):
    """The root. Its text is a plain sentence that may be shown to an administrator."""


class ConfigError(CallmonError):
    """A setting is wrong."""


class StartFailed(ConfigError):
    """What a setting names cannot be used now; the next start may succeed with the same settings."""


_CANNOT_LISTEN: Final = {
    errno.EADDRINUSE: "another program listens there already; end that one, or choose another port",
    errno.EACCES: "a port below 1024 is not for every user; choose one above it, with a proxy before it for 80 or 443",
    errno.EADDRNOTAVAIL: "this host has no such address; choose one of its own, such as 127.0.0.1",
    errno.EAFNOSUPPORT: "this host has no addresses of that kind (IPv6?); choose one of its own",
}


NOT_BOUND: Final = (OSError, OverflowError, UnicodeError)
"""What binding a socket to a host and a port raises."""


def cannot_listen(what: str, host: str, port: int, error: Exception) -> StartFailed:
    """Return the error for an address that cannot be listened on. ``what``: the sentence's beginning.

    ``error``: what the system said.
    """
    code = error.errno if isinstance(error, OSError) and error.errno is not None else 0
    if isinstance(error, OverflowError):
        why = "a port is at most 65535; choose a lower one"
    elif isinstance(error, UnicodeError) or code < 0:  # below 0 are the resolver's codes
        why = "nobody knows that name; choose an address of this host, such as 127.0.0.1"
    else:
        said = error.strerror if isinstance(error, OSError) else str(error)
        why = _CANNOT_LISTEN.get(code, f"{said}; choose another port or host")
    return StartFailed(f"{what} {f'[{host}]' if ':' in host else host}:{port}: {why}.")


class PbxError(CallmonError):
    """The PBX did not do what was asked."""


class PbxUnreachable(PbxError):
    """No usable answer; trying again later may help. ``retry_after``: seconds that the PBX asked for, if it did."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class PbxGarbled(PbxUnreachable):
    """What the PBX said is not what its documentation says it would."""


class PbxRefused(PbxError):
    """The PBX understood and refused. ``status`` is HTTP's, ``code`` 3CX's own word (``WARNINGS.XAPI.NOT_FOUND``).

    ``target``: the property that it blames; empty if it names none.
    """

    def __init__(self, message: str, status: int, code: str = "", target: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.target = target


class TokenRefused(PbxError):
    """The token was not accepted, or none was to be had."""


class CommandRefused(CallmonError):
    """A command was not carried out and changed nothing. ``code``: a stable word, such as ``unknown_extension``.

    ``kind``: what it names does not exist, the PBX's state or rules forbid it, or a value is wrong.
    """

    def __init__(self, code: str, message: str, kind: RefusalKind = "conflict") -> None:
        super().__init__(message)
        self.code = code
        self.kind = kind


class CommandOutcomeUnknown(CallmonError):
    """The PBX was asked to change something and no answer came: it may or may not have been done."""


class StoreFailed(CallmonError):
    """The file of what must outlive Redis cannot be read or written."""


class BusError(CallmonError):
    """Redis did not do what was asked."""


class BusUnreachable(BusError):
    """Redis did not answer, or answered that it cannot now (loading, read-only, out of memory)."""


class Fenced(BusError):
    """Another writer has taken over."""


class HistoryLost(BusError):
    """The store is older than what this writer wrote, or empty."""
