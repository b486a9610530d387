"""Decide how often a key may ask, and count its reads at this gateway. Pure.

A budget is a number of requests in a window of one minute. The window begins with its first
request. Reads are counted here, out of batches that are leased from Redis. The next batch is
requested before the last one is used up. With a large budget, one batch may be used on credit
before the answer comes. So queries do not wait for Redis. All gateways together let through at most
one such batch each too much. Reads that a gateway leased and does not use are lost when the minute
ends.

A gateway without an answer from Redis counts alone, so each gateway then lets the whole budget
through. This is accepted: a query is answered from memory and costs only the gateway. A refusal
would take the last state from the clients, and that state is kept for just such times.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from gateway.operations.operation_table import Command
from monitor.shared.api_keys import Kind

WINDOW_S: Final = 60
"""Seconds in which a budget is counted."""
ASK_AGAIN_S: Final = 1.0
"""Seconds after which Redis is asked again when it gave no answer."""
CREDIT_FROM: Final = 1_000
"""Smallest budget of reads that gives credit. Smaller ones are kept exactly."""
_BATCHES: Final = 50
_LARGEST_BATCH: Final = 1_000

Verdict: TypeAlias = Literal["taken", "spent", "wait"]


def kind_of(command: Command | None) -> Kind:
    """Return the command's kind of request; None stands for the bare address.

    The parts of a composition are counted besides.
    """
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
    """Hold what is left of a budget. ``reset``: seconds until it is whole again, at least 1."""

    kind: Kind
    limit: int
    remaining: int
    reset: int

    @property
    def headers(self) -> Mapping[str, str]:
        """Return it as HTTP headers (draft-ietf-httpapi-ratelimit-headers)."""
        return {
            "RateLimit-Policy": f'"{self.kind}";q={self.limit};w={WINDOW_S}',
            "RateLimit": f'"{self.kind}";r={self.remaining};t={self.reset}',
        }


class ReadLease:
    """Count one key's reads at this gateway. ``limit``: reads in a window, at all gateways.

    Every ``now`` is in seconds, on a clock that nobody sets.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.batch = max(1, min(limit // _BATCHES, _LARGEST_BATCH))
        self.ends = float("-inf")
        """End of the window, in seconds on the clock of ``now``."""
        self._credit = self.batch if limit >= CREDIT_FROM else 0
        self._used = 0
        self._leased = 0
        self._elsewhere = 0  # counted on Redis, and not leased here
        self._alone = False
        self._asked = 0
        self._ask_again = float("-inf")

    def take(self, now: float) -> Verdict:
        """Count one request, and return whether it may pass.

        ``taken``: it was counted and may pass. ``spent``: the budget is used up. ``wait``: it
        was not counted; ask Redis, and try again after the answer.
        """
        if now >= self.ends:
            self.ends = now + WINDOW_S
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
        """Return how many reads to lease now; 0 for none.

        The caller leases them and calls :meth:`answered`. Until then this method returns 0.
        """
        spare = self._leased - self._used
        if self._asked or now < self._ask_again or self._dry or spare > self.batch // 2:
            return 0
        self._asked = self.batch + max(0, -spare)
        return self._asked

    def answered(self, counted: int | None, seconds: float, now: float) -> None:
        """Take in the answer of Redis to a lease.

        ``counted``: reads counted in its window, with those just leased; None: Redis gave no
        answer. ``seconds``: time until that window ends.
        """
        asked, self._asked = self._asked, 0
        if counted is None:
            self._alone, self._ask_again = True, now + ASK_AGAIN_S
            return
        before = counted - asked
        if (
            before < self._leased
        ):  # a new window began on Redis; reads on credit are in what was just asked for
            self._used, self._leased = max(0, self._used - self._leased), 0
        self._alone = False
        self.ends = now + seconds
        self._elsewhere = max(0, before - self._leased)
        self._leased += max(0, min(asked, self.limit - before))

    def continue_offline(self) -> None:
        """Count alone until Redis answers, as it takes too long."""
        self._alone = True

    def remaining(self) -> int:
        """Return how many reads are left, as far as this gateway knows."""
        if self._dry and not self._alone:
            return max(0, self._leased - self._used)
        return max(0, self.limit - self._used - (0 if self._alone else self._elsewhere))

    @property
    def _dry(self) -> bool:
        """Return whether nothing is left to lease."""
        return self._leased + self._elsewhere >= self.limit
