"""Run ``callmon record``: record what a PBX sends, for a test or a demonstration.

See deploy/recording.md. It reads what a monitor would read, at a monitor's pace, and needs no
Redis. 3CX keeps one token per API client. If a monitor follows the PBX as the same client, each
would invalidate the other's token. So the recording does not begin then.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from gateway.cli.runtime import logging_setup
from gateway.cli.terminal_output import say, say_text
from monitor import run as monitor_run
from monitor.config import MonitorSettings, PbxSection
from monitor.pbx.clock import PbxClock
from monitor.pbx.facts import ConnectionChanged, Fact
from monitor.pbx.traffic_tap import TrafficTap
from monitor.pbx.v20_client import PbxClient, PbxSettings
from monitor.pbx.v20_source import PbxSource
from monitor.pbx.xapi.directory_reader import DirectoryReader
from monitor.recording import file_format
from monitor.recording.masking import Mask
from monitor.recording.recorder import Recorder
from monitor.shared.errors import ConfigError, PbxError
from monitor.shared.redis.connection import REDIS_FAILURES, text
from monitor.shared.redis.key_names import SpaceKeys
from monitor.shared.redis.topology import RedisClients
from monitor.shared.settings.loader import no_pbx, not_read, secret_in
from monitor.shared.tasks import together
from monitor.tracking.tracker import Tracker

_TICK_S: Final = 1.0


class Following:
    """Run a source and a tracker as a monitor does, without publishing anything.

    ``on_fact`` is called after the tracker has applied each fact.
    """

    def __init__(
        self,
        settings: PbxSettings,
        traffic_tap: TrafficTap | None = None,
        on_fact: Callable[[Fact], None] = lambda _: None,
    ) -> None:
        self.tracker = Tracker("recording")
        self._on_fact = on_fact
        self._clock = PbxClock()
        self._source = PbxSource(settings, self._emit, clock=self._clock, traffic_tap=traffic_tap)

    async def run(self) -> None:
        """Follow the PBX until cancelled."""
        await together(self._source.run(), self._tick())

    def _emit(self, fact: Fact) -> None:
        self.tracker.apply(fact)
        self._look_again()
        self._on_fact(fact)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            self.tracker.tick(self._clock.at(self._clock.now()))
            self._look_again()

    def _look_again(self) -> None:
        if self.tracker.inconsistent_calls:
            self.tracker.inconsistent_calls.clear()
            self._source.request_full_read()


async def run(
    config: Path | None,
    file: Path,
    pbx: str,
    minutes: float,
    client_id: str,
    client_secret_file: Path | None,
    *,
    unmasked: bool,
) -> int:
    """Record until the time is up or it is cancelled, then print what was done.

    Returns 1 if the recording failed or the PBX was never connected, else 0. Raises ConfigError.
    """
    settings = MonitorSettings.load(config)
    logging_setup.configure("warning", "human")
    section = _section(settings, config, pbx)
    other = bool(client_id)
    if not other:
        await _nobody_follows(settings, section)
    to = monitor_run.pbx_settings(section)
    if other:
        to = replace(to, client_id=client_id, client_secret=_secret(client_secret_file))
    mask = None if unmasked else Mask(secrets.token_bytes(16), await known_dns(to))
    connected = False

    def heard(fact: Fact) -> None:
        nonlocal connected
        if isinstance(fact, ConnectionChanged):
            connected = connected or fact.connection == "connected"
            say(f"{fact.connection}{f': {fact.reason}' if fact.reason else ''}")

    recorder = Recorder(file_format.create(file), header(to, masked=not unmasked), mask)
    say(f"Recording {section.name} for {minutes:g} minutes into {file}; Ctrl-C ends it earlier.")
    try:
        async with asyncio.timeout(minutes * 60):
            await Following(to, recorder, heard).run()
    except TimeoutError:
        pass
    finally:
        recorder.end()
        say_text(_summary(recorder, file, unmasked=unmasked))
        if not connected:
            say("The PBX was never connected, so the recording has no calls; run callmon check.")
    return 1 if recorder.failed or not connected else 0


async def known_dns(settings: PbxSettings) -> set[str]:
    """Return all DNs of the PBX, which are not masked.

    Returns an empty set, and prints the reason, if the PBX does not tell them now.
    """
    client = PbxClient(settings)
    try:
        read = await DirectoryReader(client, PbxClock()).directory()
    except PbxError as error:
        say(f"The PBX does not list its extensions now; they are taken from what it sends: {error}")
        return set()
    finally:
        await client.close()
    parts = (
        read.users,
        read.queues,
        read.ring_groups,
        read.ivrs,
        read.trunks,
        read.departments,
        read.peers,
    )
    return {row.number for part in parts for row in part if row.number}


def header(settings: PbxSettings, *, masked: bool) -> file_format.Header:
    """Return the first line of a recording that begins now."""
    pace = {name: float(getattr(settings, name)) for name in file_format.PACE}
    return file_format.Header(time.time(), settings.source, masked, pace)


def _section(settings: MonitorSettings, config: Path | None, pbx: str) -> PbxSection:
    names = [section.name for section in settings.pbx]
    if not names:
        raise ConfigError(f"{no_pbx(config)}: nothing to record.")
    if not pbx and len(names) != 1:
        raise ConfigError(f"Name the PBX with --pbx; known are: {', '.join(names) or 'none'}.")
    section = next((section for section in settings.pbx if section.name == (pbx or names[0])), None)
    if section is None:
        raise ConfigError(f"There is no PBX {pbx!r}; known are: {', '.join(names) or 'none'}.")
    if section.webapi:
        raise ConfigError(
            f"{section.name} is reached through the documented interface; a 3CX itself can be "
            f"recorded."
        )
    return section


def _secret(file: Path | None) -> str:
    if file is None:
        raise ConfigError("--client-id needs --client-secret-file too.")
    try:
        return secret_in(file)
    except (OSError, ValueError) as error:
        raise ConfigError(f"--client-secret-file {not_read(error)}.") from error


async def _nobody_follows(settings: MonitorSettings, section: PbxSection) -> None:
    """Raise ConfigError if a monitor follows this PBX.

    A Redis that does not answer counts as no monitor.
    """
    servers = RedisClients(settings.redis.url, settings.redis.ca_file)
    try:
        holder = text(await servers.of(section.name).get(SpaceKeys(section.name, "live").lease))
    except REDIS_FAILURES:
        return
    finally:
        await servers.aclose()
    if holder:
        raise ConfigError(
            f"{holder} follows {section.name} with this API client, and 3CX keeps one token per "
            "client: recording would "
            "end the monitor's. Stop the monitor, or make another API client with the same "
            "extensions for the recording "
            "and give it with --client-id and --client-secret-file."
        )


def _summary(recorder: Recorder, file: Path, *, unmasked: bool) -> str:
    if recorder.failed:
        return f"The recording stopped early: {recorder.failed}."
    masked = (
        "numbers and names are real: keep the file secret"
        if unmasked
        else "outside numbers and names are masked"
    )
    return f"{recorder.answers} answers and {recorder.events} events in {file}; {masked}."
