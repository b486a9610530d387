"""Test the sentences for failures of real Redis servers and of the way to them."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from monitor.shared.errors import BusUnreachable
from monitor.shared.redis.connection import translated
from monitor.shared.redis.failure_text import explain
from monitor.shared.redis.topology import RedisClients
from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from tests.bus import RealBus, free_port
from tests.redis_groups import Group

SECRET = "geheim"
USER = ("ACL", "SETUSER", "monitor", "on", f">{SECRET}", "~*", "&*", "+@all")


async def failure(url: str, ca_file: Path | None = None) -> str:
    """What is said of the first command there; no password is in it."""
    servers = RedisClients(url, ca_file)
    try:
        with pytest.raises(BusUnreachable) as caught, translated():
            await servers.of("main").set("callmon:{main}:check", "x")
    finally:
        await servers.aclose()
    said = str(caught.value)
    assert SECRET not in said
    assert len(said) < 350, said
    return said.removeprefix("Redis: ")


@asynccontextmanager
async def group() -> AsyncIterator[Group]:
    with tempfile.TemporaryDirectory(prefix="callmon-failures-") as directory:
        servers = Group(Path(directory))
        try:
            yield servers
        finally:
            servers.kill()


@pytest.mark.parametrize(
    ("setup", "url", "says"),
    [
        (
            ("CONFIG", "SET", "requirepass", SECRET),
            "redis://{at}/0",
            "it needs a password and none was given; write",
        ),
        (
            ("CONFIG", "SET", "requirepass", SECRET),
            "redis://:x@{at}/0",
            "it does not accept the user and the password",
        ),
        (USER, "redis://monitor:x@{at}/0", "it does not accept the user and the password in url"),
        (
            USER,
            f"redis://callmon:{SECRET}@{{at}}/0",
            "it does not accept the user and the password in url",
        ),
        (("PING",), f"redis://:{SECRET}@{{at}}/0", "it needs no password, but url has one"),
        ((*USER, "-set"), f"redis://monitor:{SECRET}@{{at}}/0", "its user may not do that"),
        (("PING",), "redis://{at}/99", "it has no database of that number; url should end in /0"),
        (
            ("PING",),
            "redis+cluster://{at}",
            "no node of the Cluster says where the keys are: it is not a Cluster",
        ),
        (
            ("PING",),
            "redis+sentinel://{at}/mymaster",
            "no Sentinel tells the master 'mymaster': {at} is not a Sentinel; see",
        ),
        (
            ("PING",),
            "rediss://{at}/0",
            "no connection could be made in time; see the address in url, whether TLS begins",
        ),
        (
            ("REPLICAOF", "127.0.0.1", "1"),
            "redis://{at}/0",
            "it is a replica; name the master in url",
        ),
        (("CONFIG", "SET", "maxmemory", "1"), "redis://{at}/0", "its memory is full"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, str) else "",
)
async def test_a_server_that_does_not_do_it_is_a_sentence(
    valkey: RealBus, setup: tuple[str, ...], url: str, says: str
) -> None:
    await valkey.client().execute_command(*setup)  # type: ignore[no-untyped-call]
    at = f"127.0.0.1:{valkey.port}"
    assert (await failure(url.format(at=at))).startswith(says.format(at=at))


async def test_what_is_another_kind_of_redis_is_told() -> None:
    async with group() as servers:
        node = await servers.start("--cluster-enabled", "yes")
        sentinel = await servers.start(sentinel="sentinel deny-scripts-reconfig yes\n")
        assert "write redis+sentinel://host:26379/mymaster" in await failure(
            f"redis://{sentinel.address}"
        )
        assert (await failure(f"redis+sentinel://{sentinel.address}/mymaster")).startswith(
            f"no Sentinel tells the master 'mymaster': {sentinel.address} knows no master of that "
            f"name; see url"
        )
        assert "no node holds these keys" in await failure(f"redis+cluster://{node.address}")


async def test_each_sentinel_that_is_down_has_a_short_reason_of_its_own() -> None:
    async with group() as servers:
        closed = await servers.start()
        await closed.ask("CONFIG", "SET", "requirepass", SECRET)
        first, second = free_port(), free_port()
        hosts = f"127.0.0.1:{first},127.0.0.1:{second},sentinel.invalid,{closed.address}"
        assert await failure(f"redis+sentinel://u:{SECRET}@{hosts}/mymaster") == (
            f"no Sentinel tells the master 'mymaster': 127.0.0.1:{first} does not listen, "
            f"127.0.0.1:{second} does not listen, sentinel.invalid:26379 is a name that is "
            f"not known, "
            f"{closed.address} needs a password (sentinel_password in url); see url in [redis], "
            f"which ends in that name"
        )


async def test_a_way_that_leads_nowhere_is_a_sentence(tmp_path: Path) -> None:
    port = free_port()
    assert await failure(f"redis://:{SECRET}@127.0.0.1:{port}") == (
        f"nothing listens at 127.0.0.1:{port}; see url in [redis], and whether Redis runs and "
        f"binds that address"
    )
    assert (await failure("redis://redis.invalid")).startswith(
        "that name is not known (redis.invalid:6379)"
    )
    assert (await failure(f"unix://{tmp_path}/none")).startswith(
        f"there is no such socket ({tmp_path}/none)"
    )


async def test_a_ca_file_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    text = tmp_path / "callmon.toml"
    text.write_text("[redis]\n", encoding="utf-8")
    for file, why in (
        (text, "it has no certificate in PEM"),
        (tmp_path / "none.pem", "there is no such file"),
        (tmp_path, "it is a directory"),
    ):
        said = await failure(f"rediss://127.0.0.1:{free_port()}", file)
        assert said == f"ca_file in [redis] cannot be used: {why}"


async def test_what_is_no_redis_is_told() -> None:
    async with SimulatedPbx(SimulatorSettings(traffic=False)) as pbx:
        at = pbx.url.removeprefix("http://")
        assert (await failure(f"redis://{at}")).startswith(
            "the server there is not Redis; see the port in url"
        )


def test_what_is_not_known_is_shown_without_objects_and_logins() -> None:
    error = RedisConnectionError(
        f"odd <Redis(password={SECRET})>\nat redis://u:{SECRET}@host:1/0 " + "x" * 1000
    )
    said = explain(error)
    assert said.startswith("odd … at …host:1/0 xxx")
    assert len(said) < 300
    assert SECRET not in said
