"""Test ``callmon status``: leaders, standbys, gateways, troubles, and its user's rights."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from gateway.auth.api_keys import sha256_hex
from gateway.cli.status import command
from gateway.cli.status.conditions import RedisStatus, SiteStatus
from gateway.cli.status.text import words
from monitor.shared.process_status import PbxRole, ProcessStatus, encode_process
from monitor.shared.redis.connection import raise_if_cancelled, text
from monitor.shared.redis.key_names import PROCESSES, SpaceKeys, process_key
from monitor.shared.redis.topology import RedisClients
from monitor.shared.tasks import running
from monitor.shared.timestamps import from_unix
from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from tests.bus import RealBus, free_port, until, until_async
from tests.deploy.secured import PASSWORDS, SecuredBus, secured_bus
from tests.gateway.cli.console import ROOT, WITHIN, Ended, callmon
from tests.system.stack import KEY, PBX, subscriber

VERSION = metadata.version("callmon")


@dataclass(slots=True)
class Site:
    """One PBX, one Redis with its users, two monitors and two gateways, each a process."""

    pbx: SimulatedPbx
    bus: SecuredBus
    folder: Path
    ports: tuple[int, int] = field(default_factory=lambda: (free_port(), free_port()))
    running: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)

    def settings(self, name: str, user: str, password: str = "") -> Path:
        file = self.folder / f"{name}.toml"
        file.write_text(
            f'[redis]\nurl = "{self.bus.url_of(user, password or PASSWORDS[user])}"\n[log]\nlevel '
            f'= "warning"\n'
            f"[monitor]\nweight = {0 if name == 'second' else 1}\n"
            f'name = "{name}"\nlease_duration = 4.0\n[gateway.stream]\ndrain_time = 0\n'
            f'[[pbx]]\nname = "{PBX}"\nurl = "{self.pbx.url}"\nclient_id = "{self.pbx.client_id}"\n'
            f'client_secret = "{self.pbx.client_secret}"\npoll_interval = '
            f"0.3\npoll_idle = 0.3\n"
            f'watchdog_interval = 0.5\n[[keys]]\nname = "test"\ndigest = "{sha256_hex(KEY)}"\n',
            encoding="utf-8",
        )
        return file

    async def start(self, name: str, program: str, *arguments: str) -> None:
        self.running[name] = await asyncio.create_subprocess_exec(
            *(
                sys.executable,
                "-m",
                "gateway",
                program,
                "--config",
                str(self.settings(name, program)),
                *arguments,
            ),
            cwd=ROOT,
        )

    async def end(self, name: str, by: signal.Signals) -> None:
        process = self.running.pop(name)
        process.send_signal(by)
        async with asyncio.timeout(WITHIN):
            await process.wait()

    async def asked(self, user: str, *arguments: str) -> Ended:
        return await callmon("status", "--config", str(self.settings("asking", user)), *arguments)

    async def look(self, user: str = "monitor", password: str = "") -> SiteStatus:
        url = self.bus.url_of(user, password or PASSWORDS[user])
        servers = RedisClients(url)
        try:
            return await command.look(servers, url, [PBX])
        finally:
            await servers.aclose()

    async def becomes(self, true: Callable[[SiteStatus], bool]) -> SiteStatus:
        """Look, now and then, until it is true of what is found.

        A busy machine's Redis may answer too late: then nothing is found.
        """
        async with asyncio.timeout(WITHIN):
            while not ((found := await self.look()).pbxs and true(found)):  # noqa: ASYNC110 - other processes' state
                await asyncio.sleep(0.2)
        return found


def complete(found: SiteStatus) -> bool:
    """Whether all four have told of themselves, all is live, and who should lead has told so.

    A monitor tells only every five seconds since when it leads. One that stood still past its lease
    gets it back.
    """
    leader = found.pbxs[0].leader
    return (
        found.code == 0
        and leads(found, "first")
        and leader is not None
        and leader.leading_since is not None
        and len(found.pbxs[0].standbys) == 1
        and len(found.gateways or ()) == 2
    )


def troubled(found: SiteStatus, *words: str) -> bool:
    """Whether there is one trouble, and it says all of this."""
    troubles = [*found.troubles]
    return len(troubles) == 1 and all(word in troubles[0] for word in words)


def leads(found: SiteStatus, name: str) -> bool:
    leader = found.pbxs[0].leader
    return leader is not None and leader.name == name


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    folder = tmp_path_factory.mktemp("status")
    quiet = SimulatorSettings(extensions=12, queues=1, contacts=2, traffic=False)
    async with AsyncExitStack() as stack:
        pbx = await stack.enter_async_context(SimulatedPbx(quiet))
        bus = await stack.enter_async_context(secured_bus(folder))
        made = Site(pbx, bus, folder)
        try:
            await made.start("first", "monitor")
            for name, port in zip(("left", "right"), made.ports, strict=True):
                await made.start(name, "gateway", "--port", str(port))
            await made.becomes(lambda found: leads(found, "first"))
            await made.start("second", "monitor")
            yield made
        finally:
            for name in [*made.running]:
                await made.end(name, signal.SIGKILL)


@pytest.mark.asyncio(loop_scope="module")
async def test_all_is_live_and_everybody_is_named(site: Site) -> None:
    async with subscriber(f"http://127.0.0.1:{site.ports[0]}") as held:
        await until(lambda: held.connected)
        await site.becomes(complete)
        said = await site.asked("monitor")
        assert (said.code, said.err) == (0, ""), said.out
        for line in (
            f"callmon        {VERSION}",
            f"PBX {PBX:<11}live",
            f"  stands by    second, callmon {VERSION}",
            "  now          0 calls, 12 extensions",
            "All is live.",
        ):
            assert f"\n{line}\n" in f"\n{said.out}", said.out
        assert f"\n  leads        first, callmon {VERSION}, since 20" in said.out
        assert "connected since" in said.out
        assert f"settings file  {site.folder / 'asking.toml'}" in said.out
        assert "MiB" in said.out
        for secret in (*PASSWORDS.values(), site.pbx.client_secret):
            assert secret not in said.out

        await site.becomes(lambda found: sum(one.subscribers for one in found.gateways or ()) == 1)
        told: dict[str, Any] = json.loads((await site.asked("monitor", "--json")).out)
        assert told["exitStatus"] == 0
        assert told["pbxs"][0]["leader"]["name"] == "first"
        assert told["pbxs"][0]["connection"] == "connected"
        gateways = told["gateways"]
        assert {gateway["address"] for gateway in gateways} == {
            f"http://127.0.0.1:{port}" for port in site.ports
        }
        assert sorted(gateway["subscribers"] for gateway in gateways) == [0, 1]
        epoch = told["pbxs"][0]["position"].partition("/")[0]
        assert all(gateway["pbxs"][PBX]["position"].startswith(epoch) for gateway in gateways)
    assert await site.bus.refused() == [], "nobody needs more than the users' file gives"


@pytest.mark.asyncio(loop_scope="module")
async def test_what_a_gateways_user_may_not_read_is_named_and_the_rest_is_told(site: Site) -> None:
    await site.becomes(complete)
    said = await site.asked("gateway")
    assert said.code == 0, said.out
    assert "version and memory: not allowed for this user" in said.out
    assert f"  leads        first, callmon {VERSION}, since" in said.out
    assert "All is live." in said.out
    await site.bus.ask("looking", "ACL", "LOG", "RESET")


@pytest.mark.asyncio(loop_scope="module")
async def test_who_may_read_nothing_is_told_that_nothing_can_be_told(site: Site) -> None:
    await site.bus.ask("looking", "ACL", "SETUSER", "lacking", "reset", "on", ">nothing", "+ping")
    found = await site.look("lacking", "nothing")
    assert found.code == 2
    said = "\n".join(words(found, time.time()))
    assert "this user of Redis may not read the position" in said
    assert "The status is not known" in said


@contextmanager
def stopped(process: asyncio.subprocess.Process) -> Iterator[None]:
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


async def members(site: Site) -> list[str]:
    return [str(text(member)) for member in await site.bus.of("monitor").smembers(PROCESSES)]


@pytest.mark.asyncio(loop_scope="module")
async def test_one_thing_after_the_other_breaks(site: Site) -> None:
    await site.becomes(complete)
    # a gateway that was killed: silent for a while, then forgotten; the other one's list is tidy
    left = site.running["left"].pid
    await site.end("left", signal.SIGKILL)
    dead = next(member for member in await members(site) if f"/{left}/" in member)
    await site.bus.ask("looking", "PEXPIRE", process_key(dead), "40000")
    silent = f"(process {left}): it has sent no sign of life for "
    await site.becomes(lambda found: found.code == 1 and troubled(found, silent))
    await site.bus.ask("looking", "DEL", process_key(dead))

    async def tidy() -> bool:
        return dead not in await members(site)

    await until_async(tidy)
    await site.becomes(lambda found: found.code == 0)
    # the PBX
    site.pbx.directory.secrets[site.pbx.client_id] = "another"
    site.pbx.faults.revoke_tokens()
    refused = (f"{PBX}: the PBX is ", "does not accept the API client")
    await site.becomes(lambda found: found.code == 1 and troubled(found, *refused))
    site.pbx.directory.secrets[site.pbx.client_id] = site.pbx.client_secret
    await site.becomes(lambda found: found.code == 0)
    # the other one, orderly
    await site.end("right", signal.SIGTERM)
    assert (await site.look()).gateways == ()
    assert "No gateway runs; see callmon-gateway on its hosts." in (await site.look()).troubles
    # the monitors: the standby, then the one that leads
    second = next(member for member in await members(site) if member.startswith("monitor/second/"))
    with stopped(site.running["second"]):
        await site.bus.ask("looking", "PEXPIRE", process_key(second), "30000")
        assert any(
            "the standby second has sent no sign of life" in line
            for line in (await site.look()).troubles
        )
    await site.end("second", signal.SIGTERM)
    assert (await site.look()).pbxs[0].standbys == ()
    await site.end("first", signal.SIGKILL)

    found = await site.becomes(lambda found: found.pbxs[0].leader is None)
    assert found.code == 1
    said = "\n".join(words(found, time.time()))
    assert f"{PBX}: no monitor leads" in said
    assert "nothing has been heard from a monitor since 20" in said
    assert "when last heard: connected since 20" in said
    # one that is started anew and whose secret is refused: on Redis is what was before it
    site.pbx.directory.secrets[site.pbx.client_id] = "another"
    await site.start("first", "monitor")
    found = await site.becomes(
        lambda found: any("not reached the PBX yet" in said for said in found.troubles)
    )
    assert any(
        "first leads and has not reached the PBX yet: sudo callmon check says why" in _
        for _ in found.troubles
    )
    # Redis
    site.bus.kill()
    gone = await site.asked("monitor")
    assert gone.code == 2
    assert "cannot be asked" in gone.out
    assert "Redis: nothing listens at 127.0.0.1:" in gone.out
    assert "The status is not known" in gone.out
    assert not any(password in gone.out for password in PASSWORDS.values())


async def test_settings_that_are_wrong_are_said_and_nothing_can_be_told(tmp_path: Path) -> None:
    file = tmp_path / "callmon.toml"
    file.write_text("[reddis]\n", encoding="utf-8")
    said = await callmon("status", "--config", str(file))
    assert (said.code, said.out) == (2, "")
    assert "did you mean redis?" in said.err


# clocks, and what is left behind


SERVER = RedisStatus("redis://here", reachable=True)


async def looked(bus: RealBus) -> SiteStatus:
    servers = RedisClients(bus.url)
    try:
        return await command.look(
            servers, "redis+sentinel://u:hush@a,[::1]:26379/m?sentinel_password=hush", [PBX]
        )
    finally:
        await servers.aclose()


@asynccontextmanager
async def beating(bus: RealBus, ahead: float) -> AsyncIterator[None]:
    """A monitor's heartbeats, by a clock that is ahead of ours."""
    redis, keys = bus.client(), SpaceKeys(PBX, "live")

    async def beat() -> None:
        while True:
            raise_if_cancelled()  # the client of Redis may swallow it
            at = from_unix(time.time() + ahead)
            await redis.hset(keys.position, mapping={"epoch": "1-a", "seq": 7, "at": at})
            await asyncio.sleep(0.02)

    async with running(beat()):
        yield


@pytest.mark.parametrize(
    ("ahead", "says"),
    [(-40.0, r"is 4\d s behind this host's"), (90.0, r"is (90|8\d) s ahead of this")],
)
async def test_a_monitor_whose_clock_differs_is_not_silent(
    valkey: RealBus, ahead: float, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_LOOK_AGAIN_S", 1.0)
    async with beating(valkey, ahead):
        await until_async(lambda: _written(valkey))
        (pbx,) = (await looked(valkey)).pbxs
    assert not pbx.silent
    said = words(SiteStatus("1", None, SERVER, (pbx,)), time.time())
    assert any(re.search(says, line) for line in said)
    monkeypatch.setattr(command, "_LOOK_AGAIN_S", 0.1)
    (after,) = (await looked(valkey)).pbxs
    assert after.silent, "it stands still now"


async def _written(bus: RealBus) -> bool:
    return bool(await bus.client().exists(SpaceKeys(PBX, "live").position))


async def test_a_password_or_control_character_is_shown_nowhere(valkey: RealBus) -> None:
    await valkey.client().hset(
        SpaceKeys(PBX, "live").position,
        mapping={"epoch": "1\x1b[2J", "seq": "7", "at": "no instant"},
    )
    found = await looked(valkey)
    said = "\n".join(words(found, time.time()))
    assert found.redis.address == "redis+sentinel://u@a,[::1]:26379/m"
    assert "\x1b" not in said
    assert "hush" not in said


async def test_who_has_just_taken_the_lease_leads_and_does_not_stand_by(valkey: RealBus) -> None:
    redis = valkey.client()
    for name in ("a", "b"):
        told = ProcessStatus(
            "monitor", name, 1, VERSION, from_unix(0), {PBX: PbxRole("standby", writer=f"{name}/1")}
        )
        await redis.set(process_key(f"monitor/{name}"), encode_process(told), px=60_000)
        await redis.sadd(PROCESSES, f"monitor/{name}")
    await redis.set(SpaceKeys(PBX, "live").lease, "a/1", px=60_000)
    (pbx,) = (await looked(valkey)).pbxs
    assert pbx.leader is not None
    assert (pbx.leader.name, [one.name for one in pbx.standbys]) == ("a", ["b"])


async def test_a_gateway_cannot_report_for_a_monitor(valkey: RealBus) -> None:
    redis = valkey.client()
    role = {PBX: PbxRole("standby", writer="x/1")}
    told = ProcessStatus("monitor", "invented", 1, VERSION, from_unix(0), role)
    for place in ("gateway/x", "monitor/x"):
        await redis.set(process_key(place), encode_process(told), px=60_000)
    await redis.sadd(PROCESSES, "gateway/x")
    assert not (await looked(valkey)).pbxs[0].standbys
    await redis.sadd(PROCESSES, "monitor/x")
    assert len((await looked(valkey)).pbxs[0].standbys) == 1


async def test_only_what_the_leading_monitor_notes_now_is_told(valkey: RealBus) -> None:
    redis = valkey.client()
    parts = (
        PbxRole("leading", writer="a/1", notes=("a notes.",)),
        PbxRole("standby", writer="b/1", notes=("b notes.",)),
    )
    for name, part in zip("ab", parts, strict=True):
        told = ProcessStatus(
            "monitor", name, 1, VERSION, from_unix(0), {PBX: part}, trouble=f"{name} is full."
        )
        await redis.set(process_key(f"monitor/{name}"), encode_process(told), px=60_000)
        await redis.sadd(PROCESSES, f"monitor/{name}")
    await redis.set(SpaceKeys(PBX, "live").lease, "a/1", px=60_000)
    site = await looked(valkey)
    (pbx,) = site.pbxs
    assert pbx.notes == ("a notes.",)
    assert {"monitor a: a is full.", "monitor b: b is full."} <= set(site.troubles)
