"""List every kind of call and every habit of the data that the simulated PBX can show.

Each is known by a name, so that each can be left out (``without``) or chosen alone (``kinds``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, Literal, TypeAlias, get_args

Kind: TypeAlias = Literal[
    "queue",
    "queue_abandoned",
    "queue_callback",
    "rung_twice",
    "ring_group",
    "ring_group_unanswered",
    "menu_queue",
    "menu_extension",
    "menu_abandoned",
    "holiday",
    "direct",
    "direct_unanswered",
    "second_participant",
    "called_back",
    "calls_again",
    "outbound",
    "outbound_unanswered",
    "ordered",
    "internal",
    "internal_unanswered",
    "internal_busy",
    "internal_queue",
    "internal_group",
    "own_voicemail",
    "own_menu",
    "own_parking",
    "own_fax",
    "waiting_agent",
    "two_calls",
    "paging",
    "intercom",
    "blind",
    "blind_unanswered",
    "attended",
    "attended_ringing",
    "parked",
    "supervised",
    "conference",
    "forward",
    "forward_unanswered",
    "rerouted",
    "fax",
    "ai_agent",
    "crm_app",
    "app",
]
"""A kind of call; :mod:`monitor.simulator.traffic.scenarios` tells what happens in each."""
Habit: TypeAlias = Literal[
    "letter_dns", "bracket_names", "formatted_numbers", "hidden_numbers", "ring_group_opt_out"
]
"""A habit of the data.

``letter_dns``: DNs that are not digits, such as parking ``SP0`` and holiday menu ``HOL``.
``bracket_names``: names that end in digits in brackets. ``formatted_numbers``: callers' numbers in
many notations. ``hidden_numbers``: several words, or nothing, in place of a hidden number, not
``anonymous`` alone.
``ring_group_opt_out``: members of ring groups whose profile has DisableRingGroupCalls.
"""
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
HABITS: Final[tuple[Habit, ...]] = get_args(Habit)

MIX: Final[Mapping[Kind, float]] = {
    "queue": 20,
    "queue_abandoned": 3,
    "queue_callback": 1,
    "rung_twice": 1,
    "ring_group": 6,
    "ring_group_unanswered": 2,
    "menu_queue": 5,
    "menu_extension": 4,
    "menu_abandoned": 2,
    "holiday": 0.5,
    "direct": 9,
    "direct_unanswered": 2,
    "second_participant": 1.5,
    "called_back": 1.5,
    "calls_again": 1,
    "outbound": 12,
    "outbound_unanswered": 4,
    "ordered": 3,
    "internal": 7,
    "internal_unanswered": 3,
    "internal_busy": 2,
    "internal_queue": 1,
    "internal_group": 1,
    "own_voicemail": 1,
    "own_menu": 0.7,
    "own_parking": 0.3,
    "own_fax": 0.3,
    "waiting_agent": 0.7,
    "two_calls": 1.5,
    "paging": 0.3,
    "intercom": 0.7,
    "blind": 3,
    "blind_unanswered": 2,
    "attended": 3,
    "attended_ringing": 1.5,
    "parked": 1,
    "supervised": 1,
    "conference": 2,
    "forward": 2,
    "forward_unanswered": 1,
    "rerouted": 2,
    "fax": 1,
    "ai_agent": 1,
    "crm_app": 0.7,
}
"""Weight of each kind among the others, as on an ordinary working day.

Calls to the API client's own route point (``app``) are made only on request."""

CALL_CENTRE: Final[Mapping[Kind, float]] = {
    "queue": 50,
    "queue_abandoned": 2.5,
    "menu_queue": 12,
    "internal_unanswered": 1,
    "direct_unanswered": 1,
    "ring_group_unanswered": 1,
}
"""Weights of the kinds that are more frequent, or rarer, in a call centre."""


def mix_with(
    apps: float = 0.0,
    kinds: Collection[str] = (),
    without: Collection[str] = (),
    *,
    call_centre: bool = False,
) -> Mapping[Kind, float]:
    """Return the weights of the chosen kinds.

    ``apps``: percentage, less than 100, of calls to the API client's route point. ``kinds``: the
    only kinds; empty means all of the ordinary mix. ``call_centre``: most calls are for queues.
    Raises ValueError for a name that is not a kind,
    or in ``without`` no habit either.
    """
    _check(kinds, KINDS)
    _check(without, (*KINDS, *HABITS))
    weights = {**MIX, **CALL_CENTRE} if call_centre else MIX
    chosen = {
        kind: weights.get(kind, 1.0)
        for kind in KINDS
        if (kind in kinds if kinds else kind in weights) and kind not in without
    }
    return {**chosen, "app": sum(chosen.values()) * apps / (100 - apps)} if apps else chosen


def _check(names: Collection[str], known: Collection[str]) -> None:
    wrong = next((name for name in names if name not in known), None)
    if wrong is not None:
        raise ValueError(f"{wrong!r} is not a kind of call; the kinds are {', '.join(known)}")
