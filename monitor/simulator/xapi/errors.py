"""Make the XAPI's refusals: OData errors with the words of 3CX's ``Pbx.Warnings``. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

NOT_FOUND: Final = "WARNINGS.XAPI.NOT_FOUND"
REQUIRED: Final = "WARNINGS.XAPI.REQUIRED"
DUPLICATE: Final = "WARNINGS.XAPI.DUPLICATE"
IN_USE: Final = "WARNINGS.XAPI.ALREADY_IN_USE"
FORBIDDEN_CHANGE: Final = "WARNINGS.XAPI.FORBIDDEN_CHANGE"
NO_SUCH_EXTENSION: Final = "WARNINGS.XAPI.NON_EXISTENT_EXT_NUMBER"
NOT_SUPPORTED: Final = "WARNINGS.XAPI.NOT_SUPPORTED"
INVALID: Final = "WARNINGS.INVALID"
TOO_LONG: Final = "WARNINGS.STRING_TOO_LONG"
NO_NUMBERS: Final = "WARNINGS.NO_MORE_NUMBERS_AVAILABLE"


class XapiError(Exception):
    """Signal that a request is refused with an HTTP status.

    ``target``: the property that is wrong; empty if none is.
    """

    def __init__(
        self, status: int, message: str, target: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.target = target
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """Return the body of the answer."""
        error: dict[str, Any] = {"code": "", "message": self.message}
        if self.target:
            error["details"] = [{"code": "", "message": self.message, "target": self.target}]
        return {"error": error}


def bad(message: str, target: str = "") -> XapiError:
    """Return the error for a wrong value (400)."""
    return XapiError(400, message, target)


def not_found() -> XapiError:
    """Return the error for a missing entity or an unknown address (404)."""
    return XapiError(404, NOT_FOUND)


def not_allowed(allowed: str) -> XapiError:
    """Return the error for a method that the address does not know (405).

    ``allowed``: the methods that it knows.
    """
    return XapiError(405, NOT_SUPPORTED, headers={"Allow": allowed})


def forbidden() -> XapiError:
    """Return the error for an API client whose role has too few rights (403)."""
    return XapiError(403, "Forbidden")
