"""Run sites, one after the other or several at once, and play the mixtures at them."""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.faults.clients import Clients
from tests.faults.faults import KINDS, Fault, Kind, drawn
from tests.faults.ledger import Violation
from tests.faults.mixture import MASTER, Mixture, Outcome
from tests.faults.phones import Phones
from tests.faults.report import line
from tests.faults.site import UP_WITHIN_S, Site, can_fill_disks, site

_SCOPES = "read,contacts,control,admin"
_FIRST_KEYS = 3


def kinds() -> tuple[Kind, ...]:
    """The kinds of faults that this user may bring about."""
    return KINDS if can_fill_disks() else tuple(kind for kind in KINDS if kind != "disk full")


@dataclass(slots=True)
class Run:
    """A run: mixtures by their numbers, at sites that live for ``per_site`` of them."""

    seed: int
    numbers: Iterator[int]
    per_site: int
    keep: Path
    say: Callable[[str], None]
    patience: float
    outcomes: list[Outcome] = field(default_factory=list)
    kinds: tuple[Kind, ...] = field(default_factory=kinds)

    async def play(self, jobs: int) -> None:
        """Play all, at so many sites at a time."""
        if "disk full" not in self.kinds:
            self.say("Disks are not filled: that takes root, to mount small ones.")
        await asyncio.gather(*(self._play() for _ in range(jobs)))

    async def _play(self) -> None:
        number = next(self.numbers, None)
        while number is not None:
            with tempfile.TemporaryDirectory(
                prefix="callmon-site-", ignore_cleanup_errors=True
            ) as directory:
                number = await self._at_a_site(number, Path(directory))

    async def _at_a_site(self, number: int, directory: Path) -> int | None:
        """Play mixtures until one fails, or so many are played; the number that comes next."""
        async with AsyncExitStack() as stack:
            try:
                parts = await stack.enter_async_context(at_a_site(directory))
            except (aiohttp.ClientError, OSError, RuntimeError) as error:  # TimeoutError is one
                found = Violation("harness", f"no site came up: {error!r}")
                seed = f"{self.seed}/{number}"
                self._note(Outcome(seed, [], [found], 0.0, 0, 0, 0.0), directory)
                return next(self.numbers, None)
            return await self._mixtures(number, directory, *parts)

    async def _mixtures(
        self, number: int, directory: Path, place: Site, clients: Clients, phones: Phones
    ) -> int | None:
        following: int | None = number
        for _ in range(self.per_site):
            if following is None:
                break
            seed = f"{self.seed}/{following}"
            faults = drawn(random.Random(seed), self.kinds)
            outcome = await played(place, clients, phones, seed, faults, self.patience)
            self._note(outcome, directory)
            following = next(self.numbers, None)
            if outcome.failed:
                break
        return following

    def _note(self, outcome: Outcome, directory: Path) -> None:
        """Keep it and say it; of one that failed, keep the logs."""
        self.outcomes.append(outcome)
        self.say(line(outcome))
        if outcome.failed:
            self._keep(directory, outcome.seed)

    def _keep(self, directory: Path, seed: str) -> None:
        kept = self.keep / seed.replace("/", "-")
        kept.mkdir(parents=True, exist_ok=True)
        for log in directory.glob("*.log"):
            shutil.copy(log, kept)
        self.say(f"    logs: {kept}")


async def played(
    place: Site, clients: Clients, phones: Phones, seed: str, faults: list[Fault], patience: float
) -> Outcome:
    """Play a mixture; what came of it, be it that the harness itself did not get on."""
    mixture = Mixture(place, clients, phones, seed, faults, patience=patience)
    try:
        return await mixture.play()
    except (aiohttp.ClientError, OSError, LookupError, TimeoutError) as error:
        found = [Violation("harness", f"it did not get on: {error!r}"), *clients.violations]
        return Outcome(seed, faults, found, 0.0, len(mixture.commands), 0, 0.0)


@asynccontextmanager
async def at_a_site(
    directory: Path, keys: int = _FIRST_KEYS
) -> AsyncIterator[tuple[Site, Clients, Phones]]:
    """A site with so many keys, streams and people, when all of it is well."""
    timeout = aiohttp.ClientTimeout(total=20)
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        site(directory) as place,
        aiohttp.ClientSession(timeout=timeout, connector=connector) as session,
    ):
        phones = Phones(session, place.pbx_address)
        await phones.log_in(*place.operator)
        clients = Clients(place, session, master=MASTER)
        await _first_keys(clients, keys)
        probing = asyncio.create_task(clients.probe())
        try:
            yield place, clients, phones
        finally:
            probing.cancel()
            with suppress(asyncio.CancelledError):
                await probing
            await clients.close()


async def _first_keys(clients: Clients, keys: int) -> None:
    async with asyncio.timeout(UP_WITHIN_S):
        master = None
        while master is None or not master.kept:
            master = await clients.make_key(MASTER, _SCOPES)
        clients.watch(master)
        for key in await asyncio.gather(*(clients.make_key(f"first{n}") for n in range(keys))):
            if key is not None:
                clients.watch(key)
        while clients.system.get("connection") != "connected":
            if ended := clients.site.ended_of_themselves:
                raise RuntimeError("; ".join(ended))
            await asyncio.sleep(0.1)
