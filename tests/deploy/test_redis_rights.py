"""Test that everything works with the rights of deploy/redis/users.acl, and nothing more does."""

from __future__ import annotations

import secrets
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from pydantic import SecretStr
from redis.exceptions import AuthenticationError, NoPermissionError
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from gateway import run as gateway_run
from gateway.auth.api_keys import ApiKey, KeyTable, sha256_hex
from gateway.auth.key_admin import KeyAdmin
from gateway.cli.check.redis_permissions import lacks
from gateway.cli.runtime.status_reporter import tell
from gateway.config import GatewaySection
from gateway.replication.redis_reader import leave_epoch, read_position
from monitor.shared.process_status import ProcessStatus
from monitor.shared.redis.connection import connect as connect_to
from monitor.shared.redis.key_names import AccessKeys, RequestKeys, SpaceKeys, process_key
from monitor.shared.timestamps import from_unix
from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from tests.bus import only, until, until_async
from tests.deploy.secured import DEPLOY, PASSWORDS, SecuredBus, secured_bus
from tests.system.stack import PBX, monitoring, subscriber

ADMIN = "administrators-key"
LIVE, BOOK, ACCESS, REQUESTS = (
    SpaceKeys(PBX, "live"),
    SpaceKeys(PBX, "book"),
    AccessKeys(PBX),
    RequestKeys(PBX),
)
SCOPES = frozenset({"read", "contacts", "control", "admin"})
GATEWAY = GatewaySection(port=0, ticket_secret=SecretStr(secrets.token_hex(32)))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bus(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SecuredBus]:
    async with secured_bus(tmp_path_factory.mktemp("redis")) as made:
        yield made


@pytest.mark.asyncio(loop_scope="module")
async def test_the_whole_system_runs_with_these_rights_and_is_never_refused_anything(
    bus: SecuredBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    for within in ("CLAIM_WITHIN_S", "START_WITHIN_S", "OWN_WITHIN_S"):
        monkeypatch.setattr(f"gateway.commands.dispatcher.{within}", 60.0)
    monkeypatch.setattr("gateway.commands.pubsub_listener.OTHERS_WITHIN_S", 60.0)
    monkeypatch.setattr("gateway.auth.key_admin.KEPT_WITHIN_S", 60.0)
    keys = KeyTable([ApiKey("test", sha256_hex("a-key-for-tests"), PBX, SCOPES)])
    simulated = SimulatorSettings(extensions=10, queues=2, contacts=20, rate=600)
    async with (
        SimulatedPbx(simulated) as pbx,
        monitoring(pbx, bus.of("monitor")),
        gateway_run.serving([PBX], keys, GATEWAY, only(bus.of("gateway"))) as server,
        gateway_run.serving([PBX], keys, GATEWAY, only(bus.of("gateway"))) as other,
        subscriber(server.address) as held,
        httpx.AsyncClient(base_url=server.address, timeout=60) as http,
        httpx.AsyncClient(base_url=other.address, timeout=60) as there,
    ):
        await until(lambda: held.connected and held.updates > 5)
        await _keys_work(bus, http)
        await _commands_work(http, there)
        await _tickets_work(other.address, http)
        await _an_invented_ticket_opens_nothing(bus, other.address)
        assert (
            await lacks(bus.of("monitor"), "monitor", PBX)
            == await lacks(bus.of("gateway"), "gateway", PBX)
            == []
        )
        await _an_older_epoch_is_left(bus)
        for user in PASSWORDS:
            status = ProcessStatus("gateway", user, 1, "1", from_unix(0), {})
            await tell(bus.of(user), f"{user}/1", status)
        await until(lambda: held.connected)
    assert await bus.refused() == []


async def _keys_work(bus: SecuredBus, http: httpx.AsyncClient) -> None:
    changes = KeyAdmin(bus.of("monitor"), PBX)
    assert await changes.make(ApiKey("admin", sha256_hex(ADMIN), PBX, SCOPES))
    await until_async(lambda: _answered(http, f"/webapi/{ADMIN}/pbx.calls.get", 200))
    assert await changes.make(ApiKey("other", sha256_hex("another"), PBX, SCOPES))
    assert await changes.revoke("other")
    assert [key.name for key in await changes.all()] == ["admin"]


async def _commands_work(http: httpx.AsyncClient, there: httpx.AsyncClient) -> None:
    once = {"Idempotency-Key": "once"}
    for client in (
        http,
        there,
    ):  # the second time it is the first one's answer, at the other gateway
        answer = await client.post(
            f"/webapi/{ADMIN}/ext.fwd.set", data={"num": "101", "status": "Away"}, headers=once
        )
        assert answer.json() == {"result": True}
    again = await there.get(f"/webapi/{ADMIN}/ext.state.get?num=101")
    assert again.json()["fwdName"] == "Away"


async def _tickets_work(address: str, http: httpx.AsyncClient) -> None:
    """A ticket of one gateway opens a stream at another that has the same secret."""
    ticket = (await http.post(f"/webapi/{ADMIN}/ticket")).json()["ticket"]
    stream = address.replace("http", "ws", 1) + f"/webapi/stream?ticket={ticket}&topics=system"
    async with connect(stream) as connection:
        while '"snapshot"' not in str(await connection.recv()):
            pass


async def _an_invented_ticket_opens_nothing(bus: SecuredBus, address: str) -> None:
    """The gateway's user can write one, and knows every key's digest; that is not enough."""
    assert sha256_hex(ADMIN) in str(await bus.ask("gateway", "HGETALL", ACCESS.table))
    ticket = f"{PBX}.invented"
    place = ACCESS.ticket(sha256_hex(ticket))
    stream = address.replace("http", "ws", 1) + f"/webapi/stream?ticket={ticket}&topics=system"
    for entry in (sha256_hex(ADMIN), f"{sha256_hex(ADMIN)} {time.time_ns() // 10**6} {'0' * 64}"):
        assert await bus.ask("gateway", "SET", place, entry)
        with pytest.raises(InvalidStatus) as refused:
            await connect(stream)
        assert refused.value.response.status_code == 401


async def _an_older_epoch_is_left(bus: SecuredBus) -> None:
    """What a gateway does when the store was rolled back; the monitor then starts a newer epoch."""
    before = await read_position(bus.of("gateway"), LIVE)
    assert before is not None

    async def newer() -> bool:
        # A publish in between undoes it, and a gateway would try again.
        await leave_epoch(bus.of("gateway"), LIVE, before.position.epoch + "~")
        now = await read_position(bus.of("gateway"), LIVE)
        return now is not None and now.position.epoch > before.position.epoch

    await until_async(newer)


async def _answered(http: httpx.AsyncClient, path: str, status: int) -> bool:
    return (await http.get(path)).status_code == status


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("user", "command"),
    [
        ("monitor", ("DEL", REQUESTS.once("1"))),  # the PBX was away: the next one is a new attempt
        ("gateway", ("DEL", REQUESTS.once("1"))),  # no monitor took it: likewise
        ("monitor", ("UNLINK", ACCESS.table, ACCESS.kept)),  # they were of another kind
        ("gateway", ("UNLINK", ACCESS.spent("reads", "1"))),  # it was no number
        ("gateway", ("SET", BOOK.seen, "1")),  # the book was rolled back
        (
            "gateway",
            ("PEXPIRE", ACCESS.spent("reads", "1"), "1000"),
        ),  # its minute ended between two commands
    ],
    ids=str,
)
async def test_what_is_seldom_needed_may_be_done_too(
    bus: SecuredBus, user: str, command: tuple[str, ...]
) -> None:
    assert await bus.ask(user, *command) in (0, 1, 2, True)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "command",
    [
        ("FLUSHALL",),
        ("KEYS", "*"),
        ("SCAN", "0"),
        ("CONFIG", "GET", "*"),
        ("ACL", "LIST"),
        ("CLIENT", "LIST"),
        ("EVAL", "return 1", "0"),
        ("SHUTDOWN",),
        ("REPLICAOF", "NO", "ONE"),
        ("MONITOR",),
        ("GET", "another-programs-key"),
        ("SET", "another-programs-key", "1"),
        ("SUBSCRIBE", "another-programs-channel"),
        ("PSUBSCRIBE", "*"),
        ("PUBLISH", "another-programs-channel", "1"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("user", ["monitor", "gateway"])
async def test_nobody_may_do_what_callmon_does_not_do(
    bus: SecuredBus, user: str, command: tuple[str, ...]
) -> None:
    with pytest.raises(NoPermissionError):
        await bus.ask(user, *command)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "command",
    [
        ("SET", LIVE.lease, "a-gateway"),
        ("GET", LIVE.lease),
        ("DEL", LIVE.position),
        ("HSET", LIVE.position, "epoch", "invented"),
        ("HSET", BOOK.position, "seen", "invented"),
        ("HSET", LIVE.state("calls"), "1", "invented"),
        ("XADD", LIVE.log, "*", "change", "invented"),
        ("PUBLISH", LIVE.channel, "invented"),
        ("PUBLISH", BOOK.channel, "invented"),
        ("SET", REQUESTS.result("1"), "invented"),
        ("SUBSCRIBE", REQUESTS.requests),
        ("HSET", ACCESS.table, "invented", "key"),
        ("HGETALL", ACCESS.kept),
        ("SET", ACCESS.ready, "1"),
        ("GET", ACCESS.ticket("1")),
        ("DEL", REQUESTS.request("1")),
        ("SET", process_key("monitor/1"), "invented"),
        ("DEL", process_key("monitor/1")),
        ("INFO",),
    ],
    ids=" ".join,
)
async def test_a_gateway_may_invent_neither_state_nor_keys_nor_outcomes(
    bus: SecuredBus, command: tuple[str, ...]
) -> None:
    with pytest.raises(NoPermissionError):
        await bus.ask("gateway", *command)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "command",
    [
        ("PUBLISH", REQUESTS.requests, "invented"),
        ("PUBLISH", REQUESTS.reached, "invented"),
        ("GET", REQUESTS.result("1")),
        ("SET", REQUESTS.once("1"), "invented"),
        ("GET", ACCESS.ticket("1")),
        ("SET", ACCESS.spent("reads", "1"), "0"),
        ("SUBSCRIBE", LIVE.channel),
        ("SUBSCRIBE", REQUESTS.replies("1")),
        ("SET", process_key("gateway/1"), "invented"),
    ],
    ids=" ".join,
)
async def test_a_monitor_may_not_pass_for_a_gateway(
    bus: SecuredBus, command: tuple[str, ...]
) -> None:
    with pytest.raises(NoPermissionError):
        await bus.ask("monitor", *command)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("url", ["", "default:", "monitor:", "gateway:wrong"])
async def test_nobody_gets_in_without_a_password(bus: SecuredBus, url: str) -> None:
    redis = connect_to(bus.url.replace("//", f"//{url}@" if url else "//"))
    with pytest.raises(AuthenticationError):
        await redis.ping()
    await redis.aclose()


@pytest.mark.parametrize(
    "given",
    [
        ["make-acl.sh"],
        ["new-passwords.sh"],
        ["new-passwords.sh", "{folder}"],
        ["new-passwords.sh", "{folder}", "redis"],
        ["new-passwords.sh", "{folder}", "redis://redis:6379"],
    ],
    ids=" ".join,
)
def test_a_script_that_is_started_wrongly_says_how_and_makes_nothing(
    given: list[str], tmp_path: Path
) -> None:
    name, *arguments = (word.format(folder=tmp_path / "made") for word in given)
    said = subprocess.run(
        [DEPLOY / "redis" / name, *arguments], capture_output=True, text=True, check=False
    )
    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr.startswith(f"usage: {name} DIR")
    assert not (tmp_path / "made").exists()


def test_a_password_that_is_missing_is_said(tmp_path: Path) -> None:
    said = subprocess.run(
        [DEPLOY / "redis" / "make-acl.sh", tmp_path], capture_output=True, text=True, check=False
    )
    assert (said.returncode, said.stdout) == (1, "")
    assert "monitor.password is missing or empty" in said.stderr
