"""How often a key may ask, and how a gateway counts its reads. Pure.

A budget is so many requests in a window of a minute that begins with the first of them. Reads are counted here, out of
batches that are leased from Redis; the next batch is asked for before the last one is used up. Where a batch is large,
one may be used on credit before the answer is there. So queries do not wait for Redis, and all gateways together let
pass at most one such batch each too much. What one of them leased and does not use is lost with the minute.

Who gets no answer from Redis counts alone, and so each gateway lets pass the whole budget: a query is answered from
memory and costs nobody but the gateway; to refuse it would take from its clients the last state, which is kept for
just such times.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from gateway.operations.operation_table import Command
from monitor.shared.api_keys import Kind

WINDOW: Final = 60
"""Seconds."""
ASK_AGAIN: Final = 1.0
"""Seconds until Redis, when it gave no answer, is asked again."""
CREDIT_FROM: Final = 1_000
"""The smallest budget of reads that gives credit: smaller ones are kept to the last request."""
_BATCHES: Final = 50
_LARGEST_BATCH: Final = 1_000

Verdict: TypeAlias = Literal["taken", "spent", "wait"]


def kind_of(command: Command | None) -> Kind:
    """The kind of request that a command is; None: the bare address. A composition's parts count besides."""
    if command is None or not command.changes:
        return "reads"
    match command.name:
        case "makecall":
            return "makecall"
        case "query":
            return "query"
        case _:
            return "commands"


@dataclass(frozen=True, slots=True)
class RemainingQuota:
    """What is left of a budget. ``reset``: seconds until it is whole again, at least 1."""

    kind: Kind
    limit: int
    remaining: int
    reset: int

    @property
    def headers(self) -> Mapping[str, str]:
        """As HTTP says it (draft-ietf-httpapi-ratelimit-headers)."""
        return {
            "RateLimit-Policy": f'"{self.kind}";q={self.limit};w={WINDOW}',
            "RateLimit": f'"{self.kind}";r={self.remaining};t={self.reset}',
        }


class ReadLease:
    """A key's reads at one gateway. ``limit``: a window, at all gateways.

    Every ``now`` is in seconds, on one clock that nobody sets.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.batch = max(1, min(limit // _BATCHES, _LARGEST_BATCH))
        self.ends = float("-inf")
        """When the window ends."""
        self._credit = self.batch if limit >= CREDIT_FROM else 0
        self._used = 0
        self._leased = 0
        self._elsewhere = 0  # counted on Redis, and not leased here
        self._alone = False
        self._asked = 0
        self._ask_again = float("-inf")

    def take(self, now: float) -> Verdict:
        """Count one request. ``wait``: it was not counted; ask, and try again after the answer."""
        if now >= self.ends:
            self.ends = now + WINDOW
            self._used = self._leased = self._elsewhere = 0
        if self._alone:
            bound = self.limit
        elif self._dry:
            bound = self._leased
        else:
            bound = min(self.limit, self._leased + self._credit)
        if self._used < bound:
            self._used += 1
            return "taken"
        return "spent" if self._alone or self._dry or self._used >= self.limit else "wait"

    def ask(self, now: float) -> int:
        """How many to lease now; 0 for none. Others are asked for after :meth:`answered`."""
        spare = self._leased - self._used
        if self._asked or now < self._ask_again or self._dry or spare > self.batch // 2:
            return 0
        self._asked = self.batch + max(0, -spare)
        return self._asked

    def answered(self, counted: int | None, seconds: float, now: float) -> None:
        """What Redis said: how many are counted in its window, with those asked for, and in how long that ends.

        ``counted`` None: it gave no answer.
        """
        asked, self._asked = self._asked, 0
        if counted is None:
            self._alone, self._ask_again = True, now + ASK_AGAIN
            return
        before = counted - asked
        if before < self._leased:  # a new window has begun there; what was used on credit has just been asked for
            self._used, self._leased = max(0, self._used - self._leased), 0
        self._alone = False
        self.ends = now + seconds
        self._elsewhere = max(0, before - self._leased)
        self._leased += max(0, min(asked, self.limit - before))

    def continue_offline(self) -> None:
        """Redis takes too long: count alone until it answers."""
        self._alone = True

    def remaining(self) -> int:
        """How many are left, as far as is known here."""
        if self._dry and not self._alone:
            return max(0, self._leased - self._used)
        return max(0, self.limit - self._used - (0 if self._alone else self._elsewhere))

    @property
    def _dry(self) -> bool:
        """Nothing is left to lease."""
        return self._leased + self._elsewhere >= self.limit
