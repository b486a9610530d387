"""Plan the calls of the traffic, each from the seed and its place in the sequence alone.

A plan says what is wanted: kind, parties, durations. Only when the call is made does the traffic
check that the wanted parties are free. If one is not, the next free one takes its place. So the
sequence of plans does not depend on timing.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Literal, TypeAlias, get_args

from monitor.simulator.pbx_data.directory import Directory

Kind: TypeAlias = Literal[
    "queue",
    "queue_abandoned",
    "ring_group",
    "ring_group_unanswered",
    "menu_queue",
    "menu_extension",
    "menu_abandoned",
    "direct",
    "direct_unanswered",
    "outbound",
    "outbound_unanswered",
    "internal",
    "internal_unanswered",
    "internal_busy",
    "internal_queue",
    "internal_group",
    "blind",
    "blind_unanswered",
    "attended",
    "attended_ringing",
    "conference",
    "forward",
    "forward_unanswered",
    "rerouted",
    "app",
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

MIX: Final[Mapping[Kind, float]] = {
    "queue": 22,
    "queue_abandoned": 5,
    "ring_group": 6,
    "ring_group_unanswered": 2,
    "menu_queue": 5,
    "menu_extension": 4,
    "menu_abandoned": 2,
    "direct": 9,
    "direct_unanswered": 3,
    "outbound": 12,
    "outbound_unanswered": 4,
    "internal": 8,
    "internal_unanswered": 3,
    "internal_busy": 2,
    "internal_queue": 2,
    "internal_group": 1,
    "blind": 3,
    "blind_unanswered": 2,
    "attended": 3,
    "attended_ringing": 1,
    "conference": 2,
    "forward": 2,
    "forward_unanswered": 1,
    "rerouted": 2,
}
"""Weight of each kind among the others, as on an ordinary working day.

Calls to the route points of programs are made only on request."""


def mix_with(apps: float) -> Mapping[Kind, float]:
    """Return the ordinary mix with ``apps`` percent (less than 100) of calls to route points."""
    return {**MIX, "app": sum(MIX.values()) * apps / (100 - apps)} if apps else MIX


_FROM_BOOK = 0.4
"""Share of outside parties that are in the address book."""
_BOOK_SAMPLE = 500
_SHOWN_TO_HIDDEN = 25
"""Number of callers from outside among which one hides its number."""
ANONYMOUS: Final = "anonymous"
_DIGITS = frozenset("+0123456789")


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

    @property
    def caller(self) -> str:
        """Return the number that a caller from outside presents. A few hide theirs."""
        return ANONYMOUS if self.seed % _SHOWN_TO_HIDDEN == 0 else self.outside[0]


class Planner:
    """Make the plans of one sequence. The directory is read only once, at construction."""

    def __init__(self, directory: Directory, seed: int, mix: Mapping[Kind, float] = MIX) -> None:
        self._seed = seed
        self._extensions = [
            number
            for number in directory.extensions()
            if directory.registered(number)
            and (user := directory.entity(number))
            and user["Enabled"]
        ]
        self._queues = directory.queue_numbers()
        self._groups = directory.ring_group_numbers()
        self._menus = directory.ivr_numbers()
        self._apps: list[str] = [
            entity["Number"] for entity in directory.service_principals.values()
        ]
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
        return Plan(
            index=index,
            kind=kind,
            parties=tuple(rng.sample(self._extensions, min(3, len(self._extensions)))),
            target=self._target(rng, kind),
            outside=(self._outside(rng), self._outside(rng)),
            ring=round(rng.uniform(1.5, 7.0), 2),
            ring_out=round(rng.uniform(10.0, 18.0), 2),
            talk=round(min(90.0, 4.0 + rng.expovariate(1 / 14.0)), 2),
            menu=round(rng.uniform(2.0, 8.0), 2),
            patience=round(rng.uniform(6.0, 30.0), 2) if kind == "queue_abandoned" else 180.0,
            rounds=rng.choices((0, 1, 2), (7, 2, 1))[0],
            seed=rng.getrandbits(32),
        )

    def _possible(self, kind: Kind) -> bool:
        wanted = {
            "queue": self._queues,
            "group": self._groups,
            "menu": self._menus,
            "app": self._apps,
        }
        there = all(numbers for word, numbers in wanted.items() if word in kind)
        there = there and (bool(self._lines) or kind.startswith(("internal", "conference")))
        return there and len(self._extensions) >= _EXTENSIONS.get(kind, 1)

    def _target(self, rng: random.Random, kind: Kind) -> str:
        if kind.startswith("menu"):
            return rng.choice(self._menus)
        if kind == "app":
            return rng.choice(self._apps)
        if "group" in kind:
            return rng.choice(self._groups)
        return rng.choice(self._queues) if "queue" in kind else ""

    def _outside(self, rng: random.Random) -> str:
        if self._book and rng.random() < _FROM_BOOK:
            return rng.choice(self._book)
        return f"+1{rng.choice((212, 415, 515, 646, 713))}{rng.randrange(2_000_000, 10_000_000)}"


_EXTENSIONS: Final[Mapping[str, int]] = {
    **dict.fromkeys(
        ("queue", "queue_abandoned", "menu_abandoned", "forward", "forward_unanswered", "app"),
        0,
    ),
    **dict.fromkeys(("internal", "internal_unanswered", "internal_busy", "rerouted"), 2),
    **dict.fromkeys(("blind", "blind_unanswered", "attended", "attended_ringing", "conference"), 3),
}
"""Number of extensions that a kind needs, if it is not one."""


def _numbers_in_book(directory: Directory) -> Sequence[str]:
    """Return some contacts' numbers as a network presents them: digits, perhaps a leading plus."""
    written = (
        str(contact["PhoneNumber"]) for contact in islice(directory.contacts.values(), _BOOK_SAMPLE)
    )
    plain = ("".join(letter for letter in number if letter in _DIGITS) for number in written)
    return [number for number in plain if len(number) > 6]
