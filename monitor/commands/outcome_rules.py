"""Decide the outcome of a request without carrying it out. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from monitor.shared.codec import Malformed
from monitor.shared.command_messages import CommandFailure, Outcome, Request, decode_outcome


def result_of(outcome: Outcome) -> str:
    """Return ``success``, ``false`` or the failure's code.

    ``false``: the reply itself says that nothing came of it.
    """
    if outcome.failure is not None:
        return outcome.failure.code
    return (
        "false" if outcome.reply is not None and outcome.reply.get("result") is False else "success"
    )


def failed(request: Request, failure: CommandFailure) -> Outcome:
    """Return the outcome of a request with this failure."""
    return Outcome(request.id, None, failure)


def as_known(request: Request, fingerprint: str, stored: bytes | None) -> Outcome:
    """Return the outcome of a request whose Idempotency-Key is already known.

    ``fingerprint``: of the request that used the key first. ``stored``: that request's encoded
    outcome, or None if it began and never finished.
    """
    if request.once is not None and fingerprint != request.once.fingerprint:
        text = "This Idempotency-Key was used for another request; use a new key for a new request."
        return failed(request, CommandFailure("conflict", "idempotency_key_reused", text))
    if stored is None:
        text = (
            "The same request was begun before, and it is not known whether it was done; check the "
            "PBX before you repeat it."
        )
        return failed(request, CommandFailure("unknown", "outcome_unknown", text))
    try:
        known = decode_outcome(stored)
    except Malformed:
        text = (
            "The same request was done before by another version of callmon; its answer can no "
            "longer be read."
        )
        return failed(request, CommandFailure("unknown", "outcome_unknown", text))
    return replace(known, id=request.id)
