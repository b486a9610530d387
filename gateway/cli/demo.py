"""Run ``callmon demo``: simulated PBX, monitor, in-process Redis and gateway in one process.

Only the PBX and the Redis server are replaced. All code between them is what runs in production:
HTTP and WebSocket to the PBX, transactions and pub/sub on Redis, HTTP and WebSocket to the clients.
With ``--replay`` a recording is played in place of the simulated PBX.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import sys
import time
import webbrowser
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

import fakeredis
from pydantic import SecretStr, ValidationError
from redis.asyncio import Redis

from gateway import run as gateway_run
from gateway.auth.api_keys import ApiKey, KeyTable, new_key, sha256_hex
from gateway.cli.demo_morning import HOURS, MOST_CALLS, leave_morning, place
from gateway.cli.runtime import logging_setup
from gateway.cli.runtime.garbage_collector import garbage_collected
from gateway.cli.runtime.reload import nothing_to_reload, on_sighup
from gateway.cli.terminal_output import say, say_text
from gateway.config import GatewaySection, StreamSection
from gateway.operations import plugins
from monitor import run as monitor_run
from monitor.config import FiguresSection, MonitorSettings, PbxSection
from monitor.recording import file_format
from monitor.recording.player import Player
from monitor.shared.errors import ConfigError
from monitor.shared.host_names import LOOPBACK
from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from monitor.simulator.traffic.planner import busy_hour

DEMO_KEY = "qRQi5xQj8SvI"
"""The demo key of the documented interface. It can only read."""
_MOST_TALKING: Final = 0.4
"""Calls that go on at once for each extension, above which callers wait longer and longer."""
_PBX = "demo"
"""Name in a recording → name of the setting, where the two differ."""
_DISPLAY = ApiKey("demo", sha256_hex(DEMO_KEY), _PBX, frozenset({"read", "contacts"}))


def has_screen() -> bool:
    """Return whether a user would see a browser that is opened here.

    This is not so in a script, in a container, or on an SSH connection.
    """
    graphical = sys.platform in ("darwin", "win32") or any(
        map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY"))
    )
    return graphical and sys.stdout.isatty() and "SSH_CONNECTION" not in os.environ


def company(
    extensions: int, queues: int, rate: float | None, seed: int, time_zone: str
) -> SimulatorSettings:
    """Return the settings of a PBX that has a busy hour. ``rate``: as of :func:`run`."""
    calls, talk = busy_hour(extensions, rate, call_centre=True)
    return SimulatorSettings(
        extensions=extensions,
        queues=queues,
        rate=calls,
        seed=seed,
        talk=talk,
        without=frozenset({"bracket_names", "formatted_numbers"}),
        call_centre=True,
        time_zone=time_zone,
    )


async def run(
    port: int,
    extensions: int,
    queues: int,
    rate: float | None,
    seed: int,
    *,
    hours: float = HOURS,
    control: bool = False,
    opens: bool = False,
    hosts: Sequence[str] = (),
) -> None:
    """Run the demo until cancelled; print what to try next.

    ``rate``: calls a minute; None: as many as suit the extensions. ``hours``: hours of calls that
    have passed when it begins; fewer if these were too many calls to be played quickly.
    ``control``: make a second key that may change things. ``opens``: show the wall in a browser.
    ``hosts``: further hosts for which it answers.
    Raises ConfigError if the port is taken.
    """
    logging_setup.configure("warning", "human")
    on_sighup(nothing_to_reload)
    plugins.load()
    simulated = company(extensions, queues, rate, seed, place(time.time()))
    calls = simulated.rate
    if simulated.talk * calls > _MOST_TALKING * 60.0 * extensions:
        say(
            f"{calls:g} calls a minute are too many for {extensions} extensions: callers will wait."
        )
    keys = [_DISPLAY]
    control_key = new_key() if control else None
    if control_key is not None:
        scopes = frozenset({"read", "contacts", "control", "admin"})
        keys.append(ApiKey("demo control", sha256_hex(control_key), _PBX, scopes))
    async with SimulatedPbx(simulated) as pbx:
        pbx.traffic.pause()
        section = PbxSection(
            name=_PBX,
            url=pbx.url,
            client_id=pbx.client_id,
            client_secret=SecretStr(pbx.client_secret),
            figures=FiguresSection(time_zone=simulated.time_zone),
        )

        async def begin(redis: Redis) -> None:
            past = min(hours, MOST_CALLS / (60.0 * calls))
            if past:
                say(f"The simulated company makes its calls of the last {_period(past)} ...")
                await leave_morning(pbx, section, redis, past)
            pbx.traffic.resume()

        what = (
            f"a simulated 3CX ({extensions} extensions, {queues} queues, {calls:g} calls a "
            f"minute) at {pbx.url}"
        )
        await _show(
            port,
            section,
            keys,
            lambda address: _welcome(address, what, _control(address, control_key)),
            opens,
            hosts,
            begin,
        )


async def replay(
    port: int, file: Path, speed: float, *, opens: bool = False, hosts: Sequence[str] = ()
) -> None:
    """Show a recording until cancelled, ``speed`` times as fast as it happened.

    ``opens``: show the wall in a browser. ``hosts``: further hosts for which it answers. Raises
    ConfigError.
    """
    logging_setup.configure("warning", "human")
    on_sighup(nothing_to_reload)
    plugins.load()
    recording = file_format.read(file)
    async with Player(recording, speed) as pbx, asyncio.TaskGroup() as tasks:
        section = PbxSection.model_validate(
            {
                "name": _PBX,
                "url": pbx.url,
                "client_id": "replay",
                "client_secret": secrets.token_urlsafe(),
                "source": recording.header.source,
                **pbx.settings,
            }
        )
        what = f"{file.name} ({recording.seconds:.0f} seconds, {speed:g} times as fast as life)"
        ending = tasks.create_task(_say_the_end(pbx))
        try:
            await _show(
                port, section, [_DISPLAY], lambda address: _welcome(address, what), opens, hosts
            )
        finally:
            ending.cancel()


async def _say_the_end(pbx: Player) -> None:
    await pbx.ended.wait()
    say("The recording has ended; the wallboard keeps its last state.")


async def _nothing(_: Redis) -> None:
    """Begin with nothing."""


async def _show(
    port: int,
    section: PbxSection,
    keys: list[ApiKey],
    welcome: Callable[[str], str],
    opens: bool,
    hosts: Sequence[str],
    begin: Callable[[Redis], Awaitable[None]] = _nothing,
) -> None:
    server = fakeredis.FakeServer()
    monitor_bus, gateway_bus = (fakeredis.FakeAsyncRedis(server=server) for _ in range(2))
    port = port or _free_port()
    settings = _settings(port, hosts)
    if _is_free(port):  # else serving refuses the port at once, and nobody waits for it
        await begin(monitor_bus)
    with logging_setup.ProgramLog("demo", pbx=section.url) as log:
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(
                monitor_run.run(MonitorSettings(pbx=(section,)), lambda _: monitor_bus)
            )
            try:
                async with (
                    garbage_collected(),
                    gateway_run.serving(
                        [_PBX],
                        KeyTable(keys),
                        settings,
                        lambda _: gateway_bus,
                        bound=lambda address: log.start(address=address),
                    ) as gateway,
                ):
                    say_text(welcome(gateway.address))
                    if opens:
                        await asyncio.to_thread(webbrowser.open, _wall(gateway.address))
                    await gateway.ended()
            finally:
                watching.cancel()


def _settings(port: int, hosts: Sequence[str]) -> GatewaySection:
    """Return settings that let in only the demo's own pages, as everybody knows its key.

    Raises ConfigError if one of the hosts is not a host.
    """
    try:
        allowed = GatewaySection(allowed_hosts=(*LOOPBACK, *hosts)).allowed_hosts
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ConfigError(f"--allowed-host: {reason}.") from error
    own = [f"http://{host}:{port}" for host in allowed]
    own += [
        f"{scheme}://{host}" for host in allowed[len(LOOPBACK) :] for scheme in ("http", "https")
    ]
    return GatewaySection(
        port=port, allowed_hosts=allowed, stream=StreamSection(origins=tuple(own))
    )


def _period(hours: float) -> str:
    return f"{hours:.1f} hours" if hours >= 1 else f"{hours * 60:.0f} minutes"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def _wall(address: str) -> str:
    return f"{address}/wall#key={DEMO_KEY}"


def _welcome(address: str, what: str, more: str = "") -> str:
    stream = f"{address.replace('http', 'ws', 1)}/webapi/{DEMO_KEY}/stream?topics=calls,queues"
    return f"""
callmon demo: live calls of {what}

  wallboard           {_wall(address)}
  what runs here      {address}/#key={DEMO_KEY}
  calls now           curl {address}/webapi/{DEMO_KEY}/pbx.callsinfo.get
  free agents         curl '{address}/webapi/{DEMO_KEY}/queue.free.get?num=800'
  changes, readable   .venv/bin/callmon tail --url {address} --key {DEMO_KEY}
  changes, as frames  .venv/bin/python -m websockets '{stream}'

{more}
The key {DEMO_KEY} only reads. Your own PBX: README.md, "Connect your own PBX". Ctrl-C ends it."""


def _control(address: str, key: str | None) -> str:
    if key is None:
        return ""
    return f"""
The key {key} may change things at the simulated PBX, until the demo ends:
  set a status        curl '{address}/webapi/{key}/ext.fwd.set?num=101&status=Away'
  make a call         curl '{address}/webapi/{key}/makecall?first=101&second=102'
"""
