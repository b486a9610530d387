"""Run a whole simulated PBX on a real socket: configuration, calls, traffic and all APIs."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final, Self

from monitor.simulator.app import make_app
from monitor.simulator.behaviour_options import Switches
from monitor.simulator.call_kinds import mix_with
from monitor.simulator.callcontrol.api import CallControl, MonitoredDns
from monitor.simulator.callcontrol.audio import Streams
from monitor.simulator.callcontrol.websocket import BACKLOG, Sockets
from monitor.simulator.calls.switchboard import Switchboard
from monitor.simulator.faults import Faults
from monitor.simulator.listener import Listener
from monitor.simulator.myphone import WebClientService
from monitor.simulator.pbx_data.call_centre import staff
from monitor.simulator.pbx_data.directory import ZONE
from monitor.simulator.pbx_data.generator import make_directory
from monitor.simulator.tls import Authority
from monitor.simulator.tokens import Licence, Tokens
from monitor.simulator.traffic.generator import LONGEST_STEP_S, TrafficGenerator
from monitor.simulator.traffic.planner import TALK_S
from monitor.simulator.xapi import router
from monitor.simulator.xapi.context import Site

_STEP_S: Final = 1.0
"""Seconds of the past that are lived through at once."""
_LAST_IN_MINUTES: Final = "20.0.8.1109"
"""Build of 3CX that still gives ``expires_in`` in minutes."""


@dataclass(frozen=True, slots=True)
class SimulatorSettings:
    """Hold the settings of a simulated PBX. ``port`` 0: any free port."""

    host: str = "127.0.0.1"
    allowed_hosts: tuple[str, ...] = ()
    """Hosts that requests may name besides the loopback's and ``host``."""
    port: int = 0
    extensions: int = 40
    queues: int = 4
    contacts: int = 200
    rate: float = 60.0
    """Calls a minute."""
    seed: int = 42
    speed: float = 1.0
    """Factor by which calls ring and talk faster than in life."""
    longest_step: float = LONGEST_STEP_S
    """Seconds of the wall clock that calls catch up at once. A longer delay stretches their time:
    on a busy machine, as much may be heard of a call as on one that is not."""
    talk: float = TALK_S
    """Average seconds of a talk."""
    calls: int | None = None
    """Number of calls to make in total; None: no limit."""
    traffic: bool = True
    """True if calls are made automatically."""
    people: bool = False
    """True if people play the other side of calls that programs make; with traffic they always do.

    They pick up or do not, and hang up."""
    earlier: float = 0.0
    """Seconds of calls that it has lived through when it begins to listen."""
    apps: float = 0.0
    """Percentage of calls that come to the API client's own route point."""
    kinds: frozenset[str] = frozenset()
    """The only kinds of calls to make; empty: all of the ordinary mix."""
    without: frozenset[str] = frozenset()
    """Kinds of calls and habits of the data that are left out: see :mod:`.call_kinds`."""
    odd_names: bool = False
    """True: people and queues have names that are hard to show."""
    call_centre: bool = False
    """True: most calls are for queues. These have agents enough, who take breaks."""
    time_zone: str = ZONE
    """IANA name of the zone in the PBX's office hours."""
    tls: bool = False
    switches: Switches = field(default_factory=Switches)
    client_id: str = "callmon"
    client_secret: str | None = None
    """Secret of the API client; None: a random one."""
    token_lifetime: float = 3600.0
    """Seconds for which a token is valid."""
    licence: Licence = "enterprise"
    web_client: bool = True
    """True if the API client may use the web client's interface."""
    backlog: int = BACKLOG
    """Number of events that a socket's client may be behind before it is cut."""


class SimulatedPbx:
    """Run a simulated PBX: ``async with SimulatedPbx(settings) as pbx``.

    It listens and makes calls until the block ends.
    """

    def __init__(self, settings: SimulatorSettings | None = None) -> None:
        self.settings = settings = settings or SimulatorSettings()
        self.switches = settings.switches
        self.client_id = settings.client_id
        self.client_secret = settings.client_secret or secrets.token_urlsafe(24)
        self.ca_file: Path | None = None
        """File with the authority that a client has to trust; None without TLS."""
        self.directory = make_directory(
            settings.seed,
            settings.extensions,
            settings.queues,
            settings.contacts,
            settings.client_id,
            self.switches.monitored,
            without=settings.without,
            odd_names=settings.odd_names,
        )
        if settings.call_centre:
            staff(self.directory, settings.seed)
        self.directory.time_zone = settings.time_zone
        self.directory.secrets[self.client_id] = self.client_secret
        if self.switches.expires_in == "minutes":
            self.directory.version = _LAST_IN_MINUTES
        client = self.directory.entity(self.client_id)
        if client is not None:
            self.directory.update(client, {"MyPhoneEnabled": settings.web_client})
        self._lived_from: float | None = None
        self.switchboard = Switchboard(self.directory, self.switches, self._clock)
        self.tokens = Tokens(
            self.directory, self.switches, time.time, settings.token_lifetime, settings.licence
        )
        self.traffic = self._make_traffic(settings.seed, settings.calls)
        self._listener: Listener | None = None
        self.faults = Faults(self.tokens, self._refuse, self._accept, settings.seed)
        visibility = MonitoredDns(self.directory)
        self._control = control = CallControl(
            self.directory, self.switchboard, self.switches, self.faults, visibility
        )
        self.sockets = Sockets(
            self.switchboard,
            self.switches,
            control,
            visibility,
            self.faults,
            self.tokens,
            time.time,
            self._cut,
            settings.backlog,
        )
        self._streams = Streams(self.switchboard)
        self._site = Site(self.directory, self.switchboard, self.switches, time.time, self.tokens)
        routes = router.routes(self._site)
        self.web_client = WebClientService(
            self.directory, self.switchboard, self.switches, self._cut
        )
        self.faults.on_drop(self.web_client.drop)
        routes += self.web_client.routes()
        self._app = make_app(
            self.directory,
            self.tokens,
            control,
            self.sockets,
            self._streams,
            self.faults,
            self.switches,
            routes,
            self._cut,
        )
        self._running: asyncio.Task[None] | None = None
        self._stack = AsyncExitStack()
        self._restarts = 0
        self._authority: Authority | None = None

    @property
    def url(self) -> str:
        """Return the address at which it listens, such as ``http://127.0.0.1:41234``.

        Raises RuntimeError before the block is entered.
        """
        if self._listener is None:
            msg = "the simulated PBX has not been started"
            raise RuntimeError(msg)
        return self._listener.url

    async def __aenter__(self) -> Self:
        certificate = None
        if self.settings.tls:
            folder = self._stack.enter_context(
                tempfile.TemporaryDirectory(prefix="callmon-simulator-")
            )
            self._authority = Authority(Path(folder), self.settings.host)
            certificate = self._authority.files
            self.ca_file = certificate.ca_file
        headers = {"X-3CX-Version": self.directory.version}
        where = self.settings
        self._listener = Listener(
            *(where.host, where.port, certificate, headers), where.allowed_hosts
        )
        self._listener.serve(self._app)
        try:
            if self.settings.traffic and self.settings.earlier:
                await self.live_through(time.time() - self.settings.earlier)
            await self._listener.start()
        except BaseException:
            await self._stack.aclose()
            raise
        self._start_traffic()
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self._stop_traffic()
        finally:
            self.faults.calm()
            self.sockets.clear()
            self._streams.clear()
            self._control.clear()
            await self._refuse()
            await self._stack.aclose()

    async def restart(self, down: float = 0.0) -> None:
        """Restart as a process would and stay away for at least ``down`` seconds.

        Sockets, tokens and calls are lost, and other calls come. Address, configuration and secrets
        stay. Call ids begin again. ``traffic`` is a new object afterwards, and it is not paused.
        """
        await self._stop_traffic()
        self._control.clear()
        await self._refuse()
        self._restarts += 1
        self.tokens.restart()
        self.switchboard.restart()
        self._site.restarted()
        self.sockets.clear()
        self._streams.clear()
        self.web_client.restart()
        await asyncio.sleep(down)
        left = (
            None
            if self.traffic.limit is None
            else max(0, self.traffic.limit - self.traffic.stats.started)
        )
        self.traffic = self._make_traffic(self.settings.seed + self._restarts, left)
        await self._accept()
        self._start_traffic()

    async def live_through(
        self, since: float, seen: Callable[[float], None] = lambda _: None
    ) -> None:
        """Make the calls from a time in the past (POSIX seconds) until now, as fast as possible.

        The traffic must be paused and must not have begun. Calls that are under way then go on. It
        ends less than a second after now. ``seen``: is called once for each second in which
        something changed, with its end.
        """
        changed = False

        def note(_: object) -> None:
            nonlocal changed
            changed = True

        self.switchboard.listen(note)
        at, self._lived_from = since, since
        try:
            while at < time.time():
                self.traffic.advance(_STEP_S * self.settings.speed)
                at += _STEP_S
                if changed:
                    changed = False
                    seen(at)
                await asyncio.sleep(0)
        finally:
            self._lived_from = None
            self.switchboard.unlisten(note)

    def _clock(self) -> float:
        """Return the PBX's time: now, or a time in the past while it is lived through."""
        if self._lived_from is None:
            return time.time()
        return self._lived_from + self.traffic.now / self.settings.speed

    def certify(self, valid: timedelta) -> None:
        """Serve new connections with a new certificate that is valid for ``valid``.

        A negative ``valid`` means that it has expired. The authority stays. Raises RuntimeError
        without TLS.
        """
        if self._authority is None or self._listener is None:
            msg = "this PBX is served without TLS"
            raise RuntimeError(msg)
        self._authority.issue(valid)
        self._listener.reload()

    def _make_traffic(self, seed: int, limit: int | None) -> TrafficGenerator:
        settings = self.settings
        return TrafficGenerator(
            self.switchboard,
            self.directory,
            seed,
            0.0 if settings.people and not settings.traffic else settings.rate,
            settings.speed,
            limit=limit,
            mix=mix_with(
                *(settings.apps, settings.kinds, settings.without),
                call_centre=settings.call_centre,
            ),
            without=settings.without,
            talk=settings.talk,
            call_centre=settings.call_centre,
            longest_step=settings.longest_step,
        )

    def _start_traffic(self) -> None:
        if self.settings.traffic or self.settings.people:
            self._running = asyncio.create_task(
                self.traffic.run(), name="traffic of the simulated PBX"
            )

    async def _stop_traffic(self) -> None:
        if self._running is not None:
            self.traffic.stop()
            running, self._running = self._running, None
            await running

    async def _refuse(self) -> None:
        if self._listener is not None:
            await self._listener.stop()

    async def _accept(self) -> None:
        if self._listener is not None:
            await self._listener.start()

    def _cut(self, client: tuple[str, int]) -> None:
        if self._listener is not None:
            self._listener.cut(client)


async def simulate(
    settings: SimulatorSettings,
    say: Callable[[str], None],
    bound: Callable[[str], None] = lambda _: None,
) -> None:
    """Run a simulated PBX until cancelled.

    ``say`` receives the lines to print: address, credentials and the CA file. ``bound`` receives
    the address.
    """
    async with SimulatedPbx(settings) as pbx:
        bound(pbx.url)
        say(f"Simulated 3CX v20 ({pbx.directory.version}) at {pbx.url}")
        say(f"client id:     {pbx.client_id}")
        say(f"client secret: {pbx.client_secret}")
        admin = pbx.directory.entity(pbx.directory.operator)
        if admin is not None:
            say(f"web client:    extension {admin['Number']}, password {admin['AccessPassword']}")
        if pbx.ca_file is not None:
            say(f"CA file:       {pbx.ca_file}")
        await asyncio.Event().wait()
