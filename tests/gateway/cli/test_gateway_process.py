"""What a gateway changes while it runs, when its settings are read again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from gateway import run as gateway_run
from gateway.auth.api_keys import sha256_hex
from gateway.cli.gateway_process import GatewayReload, _gateway_settings
from gateway.config import GatewaySettings
from gateway.errors import KeyUnknown
from tests.bus import fake_bus, only
from tests.gateway.cli.console import settings_file
from tests.gateway.entities import START

PBX = '[[pbx]]\nname = "main"\n'


def key(name: str, more: str = "") -> str:
    return f'[[keys]]\nname = "{name}"\ndigest = "{sha256_hex(name)}"\n{more}'


class Desk:
    """The settings file of a gateway that serves ``main``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.write(PBX + key("wall"))

    def write(self, text: str) -> None:
        self._file = settings_file(self._folder, text)

    def load(self) -> GatewaySettings:
        return _gateway_settings(self._file, 0)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def logged() -> Iterator[list[EventDict]]:
    with capture_logs() as lines:
        yield lines


@asynccontextmanager
async def reloading(desk: Desk) -> AsyncIterator[tuple[GatewayReload, gateway_run.Gateway]]:
    settings = desk.load()
    reload = GatewayReload(settings, desk.load)
    async with (
        fake_bus() as bus,
        gateway_run.serving(
            settings.pbx_names, settings.key_table(), settings.gateway, only(bus.client())
        ) as gateway,
    ):
        reload.serves(gateway)
        yield reload, gateway


def told(logged: list[EventDict]) -> tuple[str, str]:
    """What was changed, and what waits for a restart."""
    changed = [line["changed"] for line in logged if line["event"] == "settings_reload"]
    waiting = [line["settings"] for line in logged if line["event"] == "pending_restart"]
    assert len(changed) == 1
    return changed[0], "".join(waiting)


def holds(gateway: gateway_run.Gateway, raw: str) -> bool:
    for pbx in gateway.pbxs:  # the keys made by command are none
        gateway._keys.set_keys(pbx, [])
    try:
        gateway._keys.find(raw, START)
    except KeyUnknown:
        return False
    return True


async def test_keys_come_and_go(desk: Desk, logged: list[EventDict]) -> None:
    async with reloading(desk) as (reload, gateway):
        desk.write(PBX + key("desk"))
        assert reload()
        assert (holds(gateway, "desk"), holds(gateway, "wall")) == (True, False)
    assert told(logged) == ("keys.wall, keys.desk", "")


@pytest.mark.parametrize(
    ("section", "name", "changes"),
    [
        ("[gateway.budgets]\nreads = 7\n", "gateway.budgets.reads", True),
        (
            "[gateway.stream]\nconnections_per_key = 7\n",
            "gateway.stream.connections_per_key",
            True,
        ),
        ("[gateway.stream]\ndrain_time = 7\n", "gateway.stream.drain_time", False),
        ("[gateway]\nheartbeat_interval = 2\n", "gateway.heartbeat_interval", False),
        ('[log]\nlevel = "error"\n', "log.level", True),
        ('[redis]\nurl = "redis://elsewhere"\n', "redis.url", False),
    ],
)
async def test_each_setting_is_changed_or_named_as_waiting(
    desk: Desk, logged: list[EventDict], section: str, name: str, changes: bool
) -> None:
    async with reloading(desk) as (reload, _):
        desk.write(section + PBX + key("wall"))
        assert reload()
    assert told(logged) == ((name, "") if changes else ("nothing", name))


async def test_a_setting_that_waits_does_not_come_into_effect_with_the_next_reload(
    desk: Desk, logged: list[EventDict]
) -> None:
    async with reloading(desk) as (reload, _):
        for number in (1, 2):
            logged.clear()
            desk.write(f"[gateway]\nheartbeat_interval = 2\n{PBX}{key(f'key-{number}')}")
            assert reload()
            changed, waiting = told(logged)
            assert f"keys.key-{number}" in changed
            assert waiting == "gateway.heartbeat_interval"


async def test_a_key_of_a_pbx_that_is_not_served_yet_waits_with_it(
    desk: Desk, logged: list[EventDict]
) -> None:
    async with reloading(desk) as (reload, gateway):
        wall, there = key("wall", 'pbx = "main"\n'), key("there", 'pbx = "branch"\n')
        desk.write(f'{PBX}[[pbx]]\nname = "branch"\n{wall}{there}')
        assert reload()
        assert not holds(gateway, "there")
        assert holds(gateway, "wall")
    changed, waiting = told(logged)
    assert changed == "nothing"
    assert {"keys.there"} < set(waiting.split(", "))


@pytest.mark.parametrize("text", ["[gatewy]\n" + PBX, key("wall", 'pbx = "main"\n'), "[[pbx]\n"])
async def test_settings_that_are_wrong_change_nothing(
    desk: Desk, logged: list[EventDict], text: str
) -> None:
    async with reloading(desk) as (reload, gateway):
        desk.write(text)
        assert not reload()
        assert holds(gateway, "wall")
    assert [line["event"] for line in logged if "reload" in line["event"]] == [
        "settings_reload_failure"
    ]


async def test_the_parent_of_workers_reloads_though_it_serves_nothing(
    desk: Desk, logged: list[EventDict]
) -> None:
    reload = GatewayReload(desk.load(), desk.load)
    assert not reload(), "it has not begun"
    desk.write(PBX + key("desk"))
    reload.begin()
    assert told(logged) == ("keys.wall, keys.desk", "")


def test_a_port_of_the_command_line_is_used_in_place_of_the_settings(desk: Desk) -> None:
    desk.write("[gateway]\nport = 1234\n" + PBX)
    file = desk._file
    assert _gateway_settings(file, None).gateway.port == 1234
    assert _gateway_settings(file, 99).gateway.port == 99
    assert _gateway_settings(file, 0).gateway.port == 0
