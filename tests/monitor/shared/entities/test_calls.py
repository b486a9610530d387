"""Calls as clients see them."""

from __future__ import annotations

from msgspec.structs import replace

from monitor.shared.codec import from_json, to_json
from tests.gateway import entities


def test_calls_of_a_restarted_pbx_are_told_apart_though_it_numbers_them_anew() -> None:
    ended = entities.ended(1)
    again = replace(ended, started_at="2026-03-04T09:00:00.000Z")
    assert ended.id == "1@2026-03-04T03:15:00.000Z"
    assert ended.id != again.id


def test_documented_fields_have_their_documented_names() -> None:
    """Names of ``pbx.ac.get`` and ``pbx.callsinfo.get`` in the interface's document."""
    call = from_json(to_json(entities.call(1, ("100",))))
    assert {"callID", "AConnList", "startedAt", "answeredAt", "talkTo", "routingTo"} <= set(call)
    assert {"dnNum", "dnType", "externalParty", "status"} <= set(call["AConnList"][0])


def test_what_is_not_known_is_null_or_empty_and_never_left_out() -> None:
    ended = from_json(to_json(entities.ended(1)))
    assert ended["answeredAt"] is ended["queuedAt"] is None
    assert (ended["callerName"], ended["extgroups"]) == ("", [])
