"""Run ``callmon check``: test the settings against PBX and Redis, and say what is wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from itertools import combinations
from pathlib import Path

from gateway.cli.check import pbx as check_pbx
from gateway.cli.check import redis_server, state_directory
from gateway.cli.check import unreadable_files as file_permissions
from gateway.cli.check.finding import Finding
from gateway.cli.check.fix_monitored_extensions import Ask
from gateway.cli.terminal_output import say
from gateway.config import GatewaySettings
from monitor.config import MonitorSettings
from monitor.shared.redis.topology import RedisClients
from monitor.shared.settings.loader import found_files, outdated, places


async def run(config: Path | None, fix: Ask | None = None, *, gateway: bool = False) -> int:
    """Print a line for each test; return 1 if anything is wrong, else 0.

    ``fix``: is asked before extensions are added to those that the API client monitors; None:
    nothing is changed. ``gateway``: test only what a gateway needs, which has no PBX secrets.
    Raises ConfigError.
    """
    settings = (GatewaySettings if gateway else MonitorSettings).load(config)
    say(str(_settings(config, settings.from_environment())))
    findings = (
        _of_gateway(settings, config)
        if isinstance(settings, GatewaySettings)
        else _of_monitor(settings, config, fix)
    )
    wrong = 0
    async for finding in findings:
        wrong += bool(finding.wrong)
        say(str(finding))
    say("", f"{wrong} thing{'s' if wrong != 1 else ''} to put right." if wrong else "All is well.")
    return 1 if wrong else 0


async def _of_gateway(settings: GatewaySettings, config: Path | None) -> AsyncIterator[Finding]:
    async for finding in file_permissions.look_at(config, settings.redis.ca_file):
        yield finding
    if not settings.pbx_names:
        yield _no_pbx()
    yield _keys(settings)
    servers = RedisClients(settings.redis.url, settings.redis.ca_file)
    try:
        async for finding in redis_server.look_at(servers, "gateway", settings.pbx_names):
            yield finding
    finally:
        await servers.aclose()


async def _of_monitor(
    settings: MonitorSettings, config: Path | None, fix: Ask | None
) -> AsyncIterator[Finding]:
    async for finding in file_permissions.look_at(
        config,
        settings.redis.ca_file,
        *(file for section in settings.pbx for file in section.files),
    ):
        yield finding
    if not settings.pbx:
        yield _no_pbx()
    yield _keys(GatewaySettings.load(config))
    yield await state_directory.look_at(settings.monitor.state_dir)
    servers = RedisClients(settings.redis.url, settings.redis.ca_file)
    try:
        async for finding in redis_server.look_at(
            servers, "monitor", [section.name for section in settings.pbx]
        ):
            yield finding
    finally:
        await servers.aclose()
    for section in settings.pbx:
        if any(outdated(file) for file in section.secret_files):
            yield Finding(
                f"secrets of {section.name}",
                wrong="they were changed after callmon-monitor had started, which goes on with "
                "those before; "
                "sudo systemctl restart callmon-monitor",
            )
        async for finding in check_pbx.look_at(section, fix):
            yield finding
    for one, other in combinations(settings.pbx, 2):
        if one.client_id and (one.url, one.client_id) == (other.url, other.client_id):
            yield Finding(
                f"PBX {other.name}",
                wrong=f"it has the url and client_id of {one.name}; 3CX keeps one token a client, "
                f"and each would make the other's void: leave one of the two out",
            )


def _settings(config: Path | None, variables: Sequence[str]) -> Finding:
    """Return a finding about the settings.

    It names the file that was read, other files that were not read, and the environment variables
    that were used.
    """
    if config is None:
        looked = " nor ".join(str(path.absolute()) for path in places())
        file = (
            f"no file was found: there is neither {looked}; use --config or CALLMON_CONFIG to "
            f"name another one"
        )
    else:
        others = [str(path) for path in found_files() if not _same(path, config)]
        file = f"{config} is read" + (f", and not {' or '.join(others)}" if others else "")
    return Finding(
        "settings", file + (f"; from the environment: {', '.join(variables)}" if variables else "")
    )


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return one == other.absolute()


def _no_pbx() -> Finding:
    return Finding(
        "settings",
        wrong="there is no [[pbx]] section; name, url, client_id and client_secret belong there",
    )


def _keys(settings: GatewaySettings) -> Finding:
    names = ", ".join(section.name for section in settings.keys) or "none"
    return Finding("keys", f"in the settings file: {names}; keys made by command: callmon key list")
