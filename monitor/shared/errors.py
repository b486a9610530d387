"""Define what can go wrong, sorted by what the caller should do.

::

    CallmonError
    ├── ConfigError              give up: a setting is wrong; the text says which, and the remedy
    │   └── StartFailed          start again later: a setting cannot be used now (address in use)
    ├── PbxError                 the PBX, not us
    │   ├── PbxUnreachable       retry with back-off: network, TLS, 5xx, 429, no answer in time
    │   │   ├── PbxGarbled       the same: it answered something that cannot be understood
    │   │   └── PbxBusy          the same: it has too much to do, and nothing was done
    │   ├── PbxRefused           give up: wrong or not allowed (400, 403, 404 …); ``code`` says how
    │   └── TokenRefused         get a new token with back-off: credentials or token refused (401)
    ├── CommandRefused           tell the caller: nothing was changed, and why
    ├── CommandOutcomeUnknown    tell the caller: it may have been done; never repeat it ourselves
    ├── StoreFailed              the monitor's own file: what was to be kept is not kept
    └── BusError                 Redis
        ├── BusUnreachable       retry with back-off
        ├── Fenced               step down: another writer's epoch or lease is in the store
        └── HistoryLost          start a new epoch with the full state: the store lost our writes
"""

from __future__ import annotations

from typing import Literal, TypeAlias

RefusalKind: TypeAlias = Literal["missing", "conflict", "bad"]


class CallmonError(Exception):
    """Signal a failure that callmon knows; the root of all errors.

    Its text is a plain sentence that may be shown to an administrator.
    """


class ConfigError(CallmonError):
    """Signal that a setting is wrong."""


class StartFailed(ConfigError):
    """Signal that a setting cannot be used now.

    The next start may succeed with the same settings.
    """


class PbxError(CallmonError):
    """Signal that the PBX did not do what was asked."""


class PbxUnreachable(PbxError):
    """Signal that there was no usable answer; trying again later may help.

    ``retry_after``: seconds that the PBX asked for, or None.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class PbxGarbled(PbxUnreachable):
    """Signal that the PBX's answer is not what its documentation says."""


class PbxBusy(PbxUnreachable):
    """Signal that the PBX, or its database, has too much to do; nothing was done."""


class PbxRefused(PbxError):
    """Signal that the PBX understood the request and refused it.

    ``status``: HTTP's. ``code``: 3CX's own word (``WARNINGS.XAPI.NOT_FOUND``). ``target``: the
    property that the PBX blames; empty if it names none.
    """

    def __init__(self, message: str, status: int, code: str = "", target: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.target = target


class TokenRefused(PbxError):
    """Signal that the token was not accepted, or that the PBX issued none."""


class CommandRefused(CallmonError):
    """Signal that a command was not carried out and changed nothing.

    ``code``: a stable word, such as ``unknown_extension``. ``kind``: what it names does not exist
    (``missing``), the PBX's state or rules forbid it (``conflict``), or a value is wrong (``bad``).
    """

    def __init__(self, code: str, message: str, kind: RefusalKind = "conflict") -> None:
        super().__init__(message)
        self.code = code
        self.kind = kind


class CommandOutcomeUnknown(CallmonError):
    """Signal that a change may or may not have been done.

    The PBX was asked for it and did not answer.
    """


class StoreFailed(CallmonError):
    """Signal that the file with the data that must outlive Redis cannot be read or written."""


class BusError(CallmonError):
    """Signal that Redis did not do what was asked."""


class BusUnreachable(BusError):
    """Signal that Redis did not answer, or cannot do it now (loading, read-only, out of memory)."""


class Fenced(BusError):
    """Signal that another writer has taken over."""


class HistoryLost(BusError):
    """Signal that the store is empty, or older than what this writer wrote."""
