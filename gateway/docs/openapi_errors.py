"""Describe refusals for the documents: responses by status, and the meaning of codes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from gateway.docs.schemas import in_markdown, ref
from gateway.errors import all_shown
from gateway.responses import Failure

_NAMES: Final[dict[int, tuple[str, str]]] = {
    400: ("BadRequest", "The request itself is wrong: do not repeat it unchanged."),
    401: ("KeyRefused", "No key was given, or the key is not valid."),
    403: ("NotAllowed", "The key may not do this."),
    404: ("NotFound", "There is no such thing, or the key may not see it: the two look the same."),
    405: (
        "WrongMethod",
        "The address does not take this method: `Allow` lists the methods that it takes.",
    ),
    409: ("Conflict", "The PBX refuses the command, and nothing was changed."),
    413: ("TooLarge", "The body is larger than any command needs."),
    415: ("UnsupportedBody", "The body is neither JSON nor a form."),
    429: (
        "TooMany",
        (
            "Too many requests came with this key. Nothing was done. Try again after "
            "`Retry-After` seconds."
        ),
    ),
    501: ("NotCarriedOut", "This gateway does not carry out the command."),
    503: ("NotReady", "Nothing was done. Try again after `Retry-After` seconds."),
    504: (
        "NoAnswer",
        "No answer came in time. The code says whether the command may have been carried out.",
    ),
}
READING: Final = (400, 401, 403, 404, 405, 429, 503, 504)
"""Statuses of a query's refusals."""
POSTED: Final = (413, 415)
"""More statuses of refusals, for requests with a body."""
CHANGING: Final = (409,)
"""More statuses of refusals, for commands that change something."""
COMPOSED: Final = (409, 501)
"""More statuses of refusals, for commands made of commands."""

_OF_THE_PBX: Final[dict[int, dict[str, str]]] = {
    400: {
        "nothing_to_set": "No field was given.",
        "value_missing": "The PBX needs a value that was not given.",
        "out_of_range": "A value is outside of what the PBX allows.",
        "bad_value": "The PBX does not accept one of the values.",
        "too_long": "A value is longer than the PBX allows.",
        "contact_needs_name": "A contact needs a first name, a last name or a company.",
        "contact_needs_phone": "A contact needs a phone number.",
        "unknown_status": "The extension has no forwarding status of this name.",
        "sql_not_a_query": "The SQL is not one query.",
        "sql_error": "The database refuses the SQL.",
        "sql_function_refused": "The SQL calls what could change something or make a giant.",
        "sql_timeout": "The query took longer than is allowed.",
        "sql_too_large": "The answer is larger than is allowed.",
    },
    409: {
        "already_exists": "The PBX has that number or name already.",
        "unsupported": "This PBX has none of the given fields.",
        "not_permitted": "The PBX does not allow this for the API client that callmon uses.",
        "limit_reached": "The PBX's licence or its settings allow no more of these.",
        "forbidden_change": "The PBX does not let this be changed.",
        "cannot_be_deleted": "The PBX does not let this be deleted.",
        "operator_extension": "The operator's extension cannot be deleted.",
        "licence": "The PBX's licence does not include this.",
        "not_an_agent": "The extension is not an agent of the queue.",
        "no_webclient_right": "The API client that callmon uses may not use the web client's "
        "interface.",
        "undone": "Not all fields of the new extension could be set, so it was deleted again.",
        "sql_not_configured": "No database of this PBX is configured.",
        "sql_role_can_write": "The database's role could do more than read; it is not used.",
        "sql_role_reads_secrets": "The database's role could read passwords; it is not used.",
        "sql_role_unlimited": "The database's role may have too many connections; it is not used.",
        "sql_unavailable": "The database refuses callmon's login.",
        "no_device": "The extension has no telephone that can place the call.",
        "unknown_destination": "The PBX has no route to the called number.",
        "routing_loop_detected": "The call would go in circles.",
        "operation_timeout": "Nobody answered the call in time.",
        "destination_busy": "The called number is busy.",
        "destination_no_answer": "Nobody answers at the called number.",
        "destination_is_not_registered": "The called telephone is not registered.",
        "destination_is_not_reachable": "The called number cannot be reached.",
        "party_connection_lost": "The connection to the telephone was lost.",
        "parent_connection_terminated": "The first leg was hung up.",
        "completed_elsewhere": "The call was taken elsewhere.",
        "cancelled": "The call was cancelled.",
        "call_failed": "The call failed for another reason, which the message gives.",
        "pbx_refused": "The PBX refuses for another reason, which the message gives.",
        "idempotency_key_reused": "The same Idempotency-Key was used for another request.",
    },
}
"""Most common codes of refusals that do not come from the gateway itself; others may come."""


def codes() -> dict[int, dict[str, str]]:
    """Return each status of a refusal with its codes and their meanings, in Markdown."""
    found: dict[int, dict[str, str]] = {status: {} for status in _NAMES}
    for kind, row in all_shown().items():
        if row.status in found:
            found[row.status][row.code] = in_markdown(kind.__doc__ or "")
    for status, more in _OF_THE_PBX.items():
        found[status] |= more
    return found


def table_of_codes() -> str:
    """Return the codes as a table in Markdown."""
    rows = [
        f"| {status} | `{code}` | {meaning.splitlines()[0]} |"
        for status, by_code in codes().items()
        for code, meaning in sorted(by_code.items())
    ]
    return "\n".join(("| status | code | meaning |", "| --- | --- | --- |", *rows))


def responses_to(statuses: Iterable[int]) -> dict[str, Any]:
    """Return the refusals with these statuses, as references into :func:`error_responses`."""
    return {
        str(status): {"$ref": f"#/components/responses/{_NAMES[status][0]}"}
        for status in sorted(statuses)
    }


def error_responses(statuses: Iterable[int]) -> dict[str, Any]:
    """Return one response for each of these statuses, with an example for each code."""
    by_status = codes()
    return {_NAMES[status][0]: _response(status, by_status[status]) for status in sorted(statuses)}


def _response(status: int, by_code: Mapping[str, str]) -> dict[str, Any]:
    examples = {
        code: {
            "value": {"result": False, "error": {"code": code, "message": meaning.splitlines()[0]}}
        }
        for code, meaning in sorted(by_code.items())
    }
    shown: dict[str, Any] = {
        "description": _NAMES[status][1],
        "content": {"application/json": {"schema": ref(Failure), "examples": examples}},
    }
    headers = _HEADERS.get(status)
    return shown if headers is None else shown | {"headers": headers}


def _header(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/headers/{name}"}


_HEADERS: Final[dict[int, dict[str, Any]]] = {
    401: {"WWW-Authenticate": {"description": "Always `Bearer`.", "schema": {"type": "string"}}},
    405: {"Allow": {"description": "The methods that work.", "schema": {"type": "string"}}},
    429: {
        name: _header(name.replace("-", ""))
        for name in ("Retry-After", "RateLimit", "RateLimit-Policy")
    },
    503: {"Retry-After": _header("RetryAfter")},
    504: {"Retry-After": _header("RetryAfter")},
}
