"""Play one mixture of faults at a site, wait until all is well, and judge."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.faults import counted
from tests.faults.clients import Clients
from tests.faults.faults import LEASE, Fault, Hands
from tests.faults.ledger import (
    COPIED_WITHIN_S,
    Command,
    Reply,
    Violation,
    judge_audit,
    judge_command,
    judge_statistics,
)
from tests.faults.phones import QUEUE, Call, Phones
from tests.faults.site import Site

WELL_WITHIN_S = 60.0
"""Seconds for everything to be well again once the last fault is over."""
AGREED_WITHIN_S = 30.0
"""Seconds after that for what is told to be what was counted."""
MASTER = "master"
_SCOPES = "read,contacts,control,admin"
_EXTENSIONS = ("100", "101", "102", "104", "105")
_PAIRS = (("102", "104"), ("105", QUEUE))
_PROGRAMS_PHONE = "105"
_BURST = 3
_SHORTLY_S = 0.3
_KEYS_LISTED_AT = ("0", "5", "quick")
"""Ends of seeds whose mixtures check the list of keys; that takes a while."""
_numbers = itertools.count(1)


@dataclass(slots=True)
class Outcome:
    """What came of a mixture."""

    seed: str
    faults: Sequence[Fault]
    violations: list[Violation]
    seconds: float
    commands: int
    calls: int
    well_after: float
    """Seconds from the last fault's end until all was well."""

    @property
    def failed(self) -> bool:
        """Whether anything is wrong that is not documented."""
        return any(not violation.documented for violation in self.violations)


@dataclass(slots=True)
class Mixture:
    """Play one mixture. Keys, streams and what is told pass to the site's next mixture."""

    site: Site
    clients: Clients
    phones: Phones
    seed: str
    faults: Sequence[Fault]
    certain: list[Call] = field(default_factory=list)
    uncertain: list[Call] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    patience: float = AGREED_WITHIN_S
    """Seconds after which what is told otherwise than counted is wrong."""
    _pending: list[asyncio.Task[Any]] = field(default_factory=list)
    _leader: str = "a"
    _earlier: frozenset[int] = frozenset()
    """Ids of calls over at the mixture's beginning."""

    async def play(self) -> Outcome:
        """Play it; what came of it."""
        begun = time.monotonic()
        before = await self._statistics()
        self._earlier = frozenset(call.call_id for call in self.phones.calls)
        first = len(self.clients.violations)
        dice = random.Random(self.seed)
        spanning = await self._prepare(dice)
        await self._faults(dice)
        healed = time.monotonic()
        found: list[Violation] = []
        try:
            await self._until_well()
        except TimeoutError:
            found = [
                Violation(
                    "convergence", f"not well after {WELL_WITHIN_S:.0f} s: {await self._unwell()}"
                )
            ]
        well_after = time.monotonic() - healed
        if not found:
            finals = await self._conclude(spanning)
            found = await self._verdict(before, finals)
        found += self.clients.violations[first:]
        found += [Violation("process", text) for text in self.site.ended_of_themselves]
        seconds = time.monotonic() - begun
        calls = len(self.certain) + len(self.uncertain)
        return Outcome(
            self.seed, self.faults, found, seconds, len(self.commands), calls, well_after
        )

    # what goes on

    async def _prepare(self, dice: random.Random) -> Call:
        """While all is well, begin a call that outlasts the faults, others, commands and keys."""
        keys = asyncio.create_task(self._new_key() if dice.random() < 0.5 else self._revoke(dice))
        spanning = await self._begin_calls()
        await keys
        return spanning

    async def _begin_calls(self) -> Call:
        """Begin the one that outlasts the faults, beside others that one leader sees whole.

        While a PBX moves from one monitor to another nobody watches it, so such calls are
        uncertain, and others take their place.
        """
        while True:
            leader = await self.site.redis.value(LEASE)
            spanning = await self.phones.dial("100", "101")
            talk = await self.phones.dial("102", "104")
            waits = await self.phones.dial("105", QUEUE)
            await self._seen(spanning, talk, waits)
            for call in (spanning, talk):
                await self.phones.answer(call)
            await asyncio.gather(*(self._send_new(self._contact()) for _ in range(2)))
            for call in (talk, waits):
                await self.phones.hang_up(call)
            await self._gone(talk, waits)
            if await self._sorted_in(leader, spanning, talk, waits):
                return spanning
            await self.phones.hang_up(spanning)

    async def _sorted_in(self, leader: str | None, *calls: Call) -> bool:
        """Sort in calls; return whether they are certain, as the lease did not change hands.

        ``leader``: what the lease said before they began. What ended must be shown as gone by now:
        who shows that has the lease.
        """
        if leader is None or await self.site.redis.value(LEASE) != leader:
            self.uncertain += calls
            return False
        self._certain(*calls)
        return True

    def _certain(self, *calls: Call) -> None:
        self.certain += calls
        for call in calls:
            call.certain = True

    async def _faults(self, dice: random.Random) -> None:
        hands = Hands.at(self.site, self.clients.losses, self._leads, self.clients.first_change)
        begun = time.monotonic()
        doing = [asyncio.create_task(hands.do(fault, begun)) for fault in self.faults]
        doing += [
            asyncio.create_task(self._burst(begun + fault.at - dice.uniform(0, _SHORTLY_S)))
            for fault in self.faults
        ]
        healed = asyncio.Event()
        bustle = asyncio.create_task(
            self._bustle(dice, healed)
        )  # not cancelled: a call half made would be nobody's
        try:
            await asyncio.gather(*doing)
        finally:
            healed.set()
            await bustle

    async def _burst(self, at: float) -> None:
        """Send some commands at once, shortly before a fault, so that it finds them in hand."""
        await asyncio.sleep(at - time.monotonic())
        for _ in range(_BURST):
            await self._later(self._send_new(self._contact()))

    def _leads(self) -> str:
        self._leader = self.clients.system.get("monitor") or self._leader
        return self._leader

    async def _bustle(self, dice: random.Random, healed: asyncio.Event) -> None:
        """People and programs go on while things break."""
        open_calls: dict[tuple[str, str], Call] = {}
        steps: list[Callable[[], Awaitable[None]]] = [
            lambda: self._step(dice, open_calls),
            lambda: self._step(dice, open_calls),
            lambda: self._later(self._send_new(self._contact())),
            lambda: self._later(self._send_new(self._makecall())),
            lambda: self._later(self._send(dice.choice(self.commands))),
        ]
        keys = [lambda: self._later(self._new_key()), lambda: self._later(self._revoke(dice))]
        try:
            while not healed.is_set():
                await asyncio.sleep(dice.uniform(0.1, 0.5))
                if keys and dice.random() < 0.15:
                    await keys.pop(dice.randrange(len(keys)))()
                else:
                    await dice.choice(steps)()
        finally:
            for call in open_calls.values():
                await self.phones.hang_up(call)

    async def _later(self, work: Awaitable[Any]) -> None:
        self._pending.append(asyncio.ensure_future(work))

    async def _step(self, dice: random.Random, open_calls: dict[tuple[str, str], Call]) -> None:
        """One of two pairs goes a step on: a call begins, is answered, or ends."""
        pair = dice.choice(_PAIRS)
        call = open_calls.get(pair)
        if call is None:
            open_calls[pair] = call = await self.phones.dial(*pair)
            self.uncertain.append(call)
        elif call.answered is None and pair[1] != QUEUE and dice.random() < 0.5:
            await self.phones.answer(call)
        else:
            del open_calls[pair]
            await self.phones.hang_up(
                call, dice.choice(("", "" if pair[1] == QUEUE else call.callee))
            )

    async def _new_key(self) -> None:
        key = await self.clients.make_key(f"k{next(_numbers)}")
        if key is not None:
            self.clients.watch(key)

    async def _revoke(self, dice: random.Random) -> None:
        there = [key for key in self.clients.keys.values() if key.holds and key.name != MASTER]
        if there:
            await self.clients.revoke_key(dice.choice(there))

    def _contact(self) -> Command:
        mark = f"Mk{next(_numbers):06}x"
        return Command(
            mark, "contact.new", {"lastname": mark, "phone": "0301234"}, time.monotonic()
        )

    def _makecall(self) -> Command:
        mark = f"0049{next(_numbers):08}"
        return Command(
            mark, "makecall", {"first": _PROGRAMS_PHONE, "second": mark}, time.monotonic()
        )

    async def _send_new(self, command: Command) -> None:
        self.commands.append(command)
        await self._send(command)

    async def _send(self, command: Command) -> Reply:
        return await self.clients.send(command)

    # all is well

    async def _until_well(self) -> None:
        async with asyncio.timeout(WELL_WITHIN_S):
            await asyncio.gather(*self._pending)
            while await self._unwell():  # noqa: ASYNC110  # it must be asked for
                await asyncio.sleep(0.3)

    async def _unwell(self) -> str:
        """Why not all is well; empty: it is."""
        if ended := self.site.ended_of_themselves:
            return "; ".join(ended)
        if self.clients.stale or self.clients.system.get("connection") != "connected":
            return (
                f"the stream says {self.clients.system or 'nothing'}, stale: {self.clients.stale}"
            )
        try:
            status, told = await self.clients.get("pbx.callsinfo.get")
        except (aiohttp.ClientError, TimeoutError) as error:
            return f"no answer to a query: {error!r}"
        if status != 200:
            return f"a query is answered {status} {told}"
        shown, there = (
            {call["callID"] for call in told["callsInfo"]},
            set(await self.phones.going_on()),
        )
        if shown != there:
            return f"calls {sorted(shown)} are shown, {sorted(there)} go on"
        return await self._takes_commands()

    async def _takes_commands(self) -> str:
        probe = self._contact()
        reply = await self.clients.send(probe, within=5.0)
        self.commands.append(probe)
        return "" if reply.said == "done" else f"a command is answered {reply.status} {reply.code}"

    async def _conclude(self, spanning: Call) -> dict[str, Reply]:
        """Ask every command again, let some more calls go by, and end what still goes on.

        The last answers.
        """
        finals = {}
        for command in self.commands:
            finals[command.mark] = await self._final(command)
        leader = await self.site.redis.value(LEASE)
        rejected = await self.phones.dial("102", "104")
        waits = await self.phones.dial("105", QUEUE)
        await self._seen(rejected, waits)
        await self.phones.hang_up(rejected, "104")
        for call in (waits, spanning):
            await self.phones.hang_up(call)
        await self._gone(rejected, waits, spanning)
        await self._sorted_in(leader, rejected, waits)
        return finals

    async def _final(self, command: Command) -> Reply:
        """Ask it again, until no answer says "later": a PBX may change hands (`busy`), and on a
        starved machine the bus may be late (503).

        Raises TimeoutError if it stays so.
        """
        async with asyncio.timeout(WELL_WITHIN_S):
            reply = await self._send(command)
            while reply.code == "busy" or reply.status == 503:
                await asyncio.sleep(1.0)
                reply = await self._send(command)
        return reply

    async def _seen(self, *calls: Call) -> None:
        """Wait until callmon shows these calls. Raises TimeoutError."""
        wanted = {call.call_id for call in calls}
        await self._shown(lambda there: wanted <= there)

    async def _gone(self, *calls: Call) -> None:
        gone = {call.call_id for call in calls}
        await self._shown(lambda there: not gone & there)

    async def _shown(self, enough: Callable[[set[int]], bool]) -> None:
        async with asyncio.timeout(WELL_WITHIN_S):
            while True:
                status, told = await self.clients.get("pbx.callsinfo.get")
                if status == 200 and enough({call["callID"] for call in told["callsInfo"]}):
                    return
                await asyncio.sleep(0.05)

    # the verdict

    async def _verdict(self, before: dict[str, int], finals: dict[str, Reply]) -> list[Violation]:
        """Wait until callmon tells what was counted.

        What it tells otherwise when the time is over.
        """
        times = await self._carried_out()
        found = await _settled(lambda: self._differences(before), self.patience)
        counted.note_listed(self.phones.calls, await self._ended())
        found += await _settled(lambda: self._audits(times), self.patience)
        if self.seed.endswith(_KEYS_LISTED_AT):
            found += await _settled(self._list_differs, self.patience)
        for command in self.commands:
            final = finals.get(command.mark)
            found += judge_command(command, times[command.mark], self.clients.losses, final=final)
        return found

    async def _carried_out(self) -> Counter[str]:
        """How often the PBX carried out each command; then end the calls that commands made."""
        times = await self.phones.contacts()
        for call_id, callee in (await self.phones.going_on()).items():
            mark = next((command.mark for command in self.commands if command.mark in callee), None)
            if mark is not None:
                times[mark] += 1
                await self.phones.drop(call_id)
                now = time.monotonic()
                made = Call(_PROGRAMS_PHONE, mark, now, call_id, None, now, "unanswered")
                self.uncertain.append(made)
                self.phones.calls.append(made)
        return times

    async def _differences(self, before: dict[str, int]) -> list[Violation]:
        documented = any(
            self._may_be_lost(call.ended or call.began) for call in (*self.certain, *self.uncertain)
        )
        after, ended = await self._statistics(), await self._ended()
        again = counted.returned(self.phones.calls, self._earlier, ended)
        bounds = counted.bounds_of(self.certain, self.uncertain, after, again)
        found = list(judge_statistics(before, after, bounds, documented=documented))
        found += self._ended_differs(ended)
        found += await self._keys_differ()
        return found

    def _may_be_lost(self, ended: float | None) -> bool:
        """Whether a call that ended then may be in no monitor's file."""
        losses = self.clients.losses
        return losses.disk_full and losses.cover(ended, COPIED_WITHIN_S)

    def _ended_differs(self, ended: Sequence[Mapping[str, Any]]) -> list[Violation]:
        found = []
        for call in self.phones.calls:
            if call.ending is not None and (text := counted.ended_differs(call, ended)):
                documented = self._may_be_lost(call.ended)
                found.append(Violation("ended calls", text, documented))
        return found

    async def _keys_differ(self) -> list[Violation]:
        found = []
        for key in self.clients.keys.values():
            status, _ = await self.clients.get("pbx.calls.get", key.raw)
            if key.holds is not None and (status == 200) is not key.holds:
                found.append(
                    Violation(
                        "key at the end", f"{key.name} is answered {status}, holds: {key.holds}"
                    )
                )
        return found

    async def _list_differs(self) -> list[Violation]:
        """What ``callmon key list`` says otherwise."""
        code, said = await self.site.callmon("key", "list")
        listed = {line.split()[0] for line in said.splitlines()[1:] if line.strip()}
        if code != 0:
            return [Violation("key list", said[-200:])]
        keys = self.clients.keys.values()
        wrong = [
            key.name
            for key in keys
            if key.holds is not None and (key.name in listed) is not key.holds
        ]
        return (
            [Violation("key list", f"{', '.join(wrong)}: listed otherwise than made and revoked")]
            if wrong
            else []
        )

    async def _audits(self, times: Counter[str]) -> list[Violation]:
        found: list[Violation] = []
        for name, monitor in self.site.monitors.items():
            code, said = await self.site.callmon(
                "audit", "--last", "5000", settings=monitor.settings
            )
            if code != 0:
                found.append(
                    Violation("audit", f"{name}'s audit log cannot be read: {said[-200:]}")
                )
                continue
            lines = said.splitlines()
            for command in self.commands:
                results = [line.split()[-1] for line in lines if command.mark in line]
                found += judge_audit(
                    command, times[command.mark], results, name, self.clients.losses
                )
        return found

    async def _statistics(self) -> dict[str, int]:
        pbx = await self._told("pbx.stats.get")
        queue = await self._told("queue.stats.get", num=QUEUE)
        extensions = {
            number: await self._told("ext.stats.get", num=number) for number in _EXTENSIONS
        }
        return counted.statistics_told(pbx, queue, extensions)

    async def _ended(self) -> list[Mapping[str, Any]]:
        ended: list[Mapping[str, Any]] = (await self._told("pbx.ended.get"))["ended"]
        return ended

    async def _told(self, query: str, **arguments: str) -> Any:
        status, told = await self.clients.get(query, **arguments)
        if status != 200:
            raise LookupError(f"{query} is answered {status} {told}")
        return told


async def _settled(
    look: Callable[[], Awaitable[list[Violation]]], patience: float
) -> list[Violation]:
    """Look until nothing differs, for so long; what differs then."""
    end = time.monotonic() + patience
    while (found := await look()) and time.monotonic() < end:  # noqa: ASYNC110  # it must be asked for
        await asyncio.sleep(0.5)
    return found
