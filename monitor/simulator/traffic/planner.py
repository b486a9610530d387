"""Plan the calls of the traffic, each from the seed and its place in the sequence alone.

A plan says what is wanted: kind, parties, durations. Only when the call is made does the traffic
check that the wanted parties are free. If one is not, the next free one takes its place. So the
sequence of plans does not depend on timing.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from monitor.simulator.call_kinds import MIX, Kind
from monitor.simulator.pbx_data.directory import Directory
from monitor.simulator.pbx_data.generator import (
    CALLBACK_QUEUE,
    CRM_APP,
    HOLIDAY_MENU,
    PAGING_GROUP,
)
from monitor.simulator.traffic.notations import HIDDEN, presented

TALK_S: Final = 18.0
"""Average seconds of a talk, unless the settings say otherwise. People are not so brief; tests
are."""
_LONGEST_TALK_S: Final = 150.0
_CALLS_EACH: Final = 0.15
"""Calls a minute for each extension."""
_CALL_CENTRE_CALLS_EACH: Final = 0.2
_MOST_CALLS: Final = 300.0
_TALKING: Final = 0.4
"""Calls that go on at once for each extension."""
_CALL_CENTRE_TALKING: Final = 0.34
_ROUNDS: Final = (7, 2, 1)
"""Weights of no, one and two times that a queue rings in vain."""
_ROUNDS_OF_AGENTS: Final = (17, 2, 1)
_FROM_BOOK = 0.4
"""Share of outside parties that are in the address book."""
_BOOK_SAMPLE = 500
_SHARE_HIDDEN = 0.04
"""Share of callers from outside who hide their number."""
_SHARE_FORMATTED = 0.25
"""Share of the other callers whose trunk presents a number that is not digits alone."""
_SHARE_GERMAN = 0.3
_DIGITS = frozenset("+0123456789")


def busy_hour(
    extensions: int, rate: float | None = None, *, call_centre: bool = False
) -> tuple[float, float]:
    """Return calls a minute and average seconds of a talk with which half of the phones are busy.

    ``rate``: calls a minute if they are given; then only the talks are as long as fits.
    ``call_centre``: more and shorter talks, so that agents are free; few agents must be less busy
    than many for that.
    """
    each, talking = (
        (_CALL_CENTRE_CALLS_EACH, _CALL_CENTRE_TALKING * extensions / (extensions + 4))
        if call_centre
        else (_CALLS_EACH, _TALKING)
    )
    calls = min(_MOST_CALLS, max(1.0, extensions * each)) if rate is None else rate
    return calls, min(_LONGEST_TALK_S, max(TALK_S, talking * extensions * 60.0 / calls))


@dataclass(frozen=True, slots=True)
class Plan:
    """Represent one call as it is wanted. Durations are seconds."""

    index: int
    kind: Kind
    parties: tuple[str, ...]
    """Extensions in the order in which the call needs them."""
    target: str
    """Number of the queue, ring group, menu or route point that is called; empty if none is."""
    outside: tuple[str, str]
    """Numbers of the parties outside: first the other party, then the target of a forward."""
    caller: str
    """Number of a caller from outside as its trunk presents it, or what stands in its place."""
    ring: float
    """Seconds until a phone is picked up."""
    ring_out: float
    """Seconds until a phone that nobody picks up stops ringing."""
    talk: float
    menu: float
    """Seconds in a voice menu, speaking to voicemail, or until a program's caller presses a key."""
    patience: float
    """Seconds for which the caller waits in a queue."""
    rounds: int
    """Number of times that a queue first rings in vain."""
    seed: int
    """Seed for choices on the way, such as which of several phones is picked up."""


class Planner:
    """Make the plans of one sequence. The directory is read only once, at construction.

    ``without``: habits of :mod:`monitor.simulator.call_kinds` that callers do not have. ``talk``:
    average seconds of a talk. ``call_centre``: agents mostly answer when their queue first rings.
    """

    def __init__(
        self,
        directory: Directory,
        seed: int,
        mix: Mapping[Kind, float] = MIX,
        without: Collection[str] = (),
        talk: float = TALK_S,
        *,
        call_centre: bool = False,
    ) -> None:
        self._seed = seed
        self._rounds = _ROUNDS_OF_AGENTS if call_centre else _ROUNDS
        self._talk = talk
        self._without = frozenset(without)
        self._extensions = [
            number
            for number in directory.people()
            if directory.registered(number)
            and (user := directory.entity(number))
            and user["Enabled"]
        ]
        self._targets = _targets(directory)
        self._lines = directory.trunk_numbers()
        possible = {
            kind: weight for kind, weight in mix.items() if weight > 0 and self._possible(kind)
        }
        self._kinds, self._weights = list(possible), list(possible.values())
        self._book = _numbers_in_book(directory)

    def plan(self, index: int) -> Plan | None:
        """Return the plan of a call, or None if this PBX has nobody to call at all."""
        if not self._kinds:
            return None
        rng = random.Random(f"{self._seed}/{index}")  # noqa: S311 - made-up calls, nothing secret
        kind = rng.choices(self._kinds, self._weights)[0]
        outside = self._outside(rng)
        return Plan(
            index=index,
            kind=kind,
            parties=tuple(rng.sample(self._extensions, min(3, len(self._extensions)))),
            target=rng.choice(self._targets[_TARGETS[kind]]) if kind in _TARGETS else "",
            outside=(outside, self._outside(rng)),
            caller=self._caller(rng, outside),
            ring=round(rng.uniform(1.5, 7.0), 2),
            ring_out=round(rng.uniform(10.0, 18.0), 2),
            talk=round(min(5.0, 0.25 + 0.75 * rng.expovariate(1.0)) * self._talk, 2),
            menu=round(rng.uniform(2.0, 8.0), 2),
            patience=round(
                rng.uniform(6.0, 30.0) if kind == "queue_abandoned" else rng.uniform(90.0, 270.0), 2
            ),
            rounds=rng.choices((0, 1, 2), self._rounds)[0],
            seed=rng.getrandbits(32),
        )

    def _possible(self, kind: Kind) -> bool:
        there = kind not in _TARGETS or bool(self._targets[_TARGETS[kind]])
        inside = kind in _INSIDE or kind == "conference"
        there = there and (bool(self._lines) or inside)
        return there and len(self._extensions) >= _EXTENSIONS.get(kind, 1)

    def _caller(self, rng: random.Random, number: str) -> str:
        """Return how a caller's number is presented. A few hide theirs."""
        if rng.random() < _SHARE_HIDDEN:
            return HIDDEN[0] if "hidden_numbers" in self._without else rng.choice(HIDDEN)
        if "formatted_numbers" in self._without or rng.random() >= _SHARE_FORMATTED:
            return number
        return presented(number, rng)

    def _outside(self, rng: random.Random) -> str:
        if self._book and rng.random() < _FROM_BOOK:
            return rng.choice(self._book)
        if rng.random() < _SHARE_GERMAN:  # numbers that Germany keeps free for films
            return f"+493023125{rng.randrange(1000):03}"
        return f"+1{rng.choice((212, 415, 515, 646, 713))}{rng.randrange(2_000_000, 10_000_000)}"


_TARGETS: Final[Mapping[Kind, str]] = {
    **dict.fromkeys(
        ("queue", "queue_abandoned", "rung_twice", "internal_queue", "waiting_agent"), "queue"
    ),
    **dict.fromkeys(("ring_group", "ring_group_unanswered", "internal_group"), "group"),
    **dict.fromkeys(("menu_queue", "menu_extension", "menu_abandoned", "own_menu"), "menu"),
    **dict.fromkeys(("fax", "own_fax"), "fax"),
    **dict.fromkeys(("parked", "own_parking"), "parking"),
    "queue_callback": "callback",
    "paging": "paging",
    "holiday": "holiday",
    "own_voicemail": "voicemail",
    "ai_agent": "ai_agent",
    "crm_app": "crm_app",
    "app": "app",
}
"""Sort of number that a kind calls, among those of :func:`_targets`."""

_INSIDE: Final = frozenset[Kind](
    (
        *("internal", "internal_unanswered", "internal_busy", "internal_queue", "internal_group"),
        *("own_voicemail", "own_menu", "own_parking", "own_fax", "waiting_agent"),
        *("paging", "intercom"),
    )
)
"""Kinds that need no trunk."""

_EXTENSIONS: Final[Mapping[Kind, int]] = {
    **dict.fromkeys(
        (
            *("queue", "queue_abandoned", "menu_abandoned", "holiday", "fax", "ai_agent"),
            *("forward", "forward_unanswered", "crm_app", "app"),
        ),
        0,
    ),
    **dict.fromkeys(
        ("internal", "internal_unanswered", "internal_busy", "rerouted", "intercom", "parked"), 2
    ),
    **dict.fromkeys(
        ("blind", "blind_unanswered", "attended", "attended_ringing", "conference", "supervised"), 3
    ),
}
"""Number of extensions that a kind needs, if it is not one."""


def _targets(directory: Directory) -> dict[str, list[str]]:
    """Return the numbers that calls go to, by sort."""
    by_kind: dict[str, list[str]] = {}
    for dn in directory.dns():
        by_kind.setdefault(dn.kind, []).append(dn.number)
    letters = (HOLIDAY_MENU, CALLBACK_QUEUE)
    clients = by_kind.get("routepoint", [])
    return {
        "queue": directory.queue_numbers(),
        "group": [n for n in directory.ring_group_numbers() if n != PAGING_GROUP],
        "paging": [n for n in directory.ring_group_numbers() if n == PAGING_GROUP],
        "menu": [n for n in directory.ivr_numbers() if n not in letters],
        "holiday": [n for n in directory.ivr_numbers() if n == HOLIDAY_MENU],
        "callback": [n for n in directory.ivr_numbers() if n == CALLBACK_QUEUE],
        "fax": by_kind.get("fax", []),
        "parking": by_kind.get("parking", []),
        "voicemail": by_kind.get("specialmenu", []),
        "ai_agent": [u["Number"] for u in directory.users.values() if u["AIAgent"]],
        "crm_app": [n for n in clients if n == CRM_APP],
        "app": [n for n in clients if n != CRM_APP],
    }


def _numbers_in_book(directory: Directory) -> Sequence[str]:
    """Return some contacts' numbers as a network presents them: digits, perhaps a leading plus."""
    written = (
        str(contact["PhoneNumber"]) for contact in islice(directory.contacts.values(), _BOOK_SAMPLE)
    )
    plain = ("".join(letter for letter in number if letter in _DIGITS) for number in written)
    return [number for number in plain if len(number) > 6]
