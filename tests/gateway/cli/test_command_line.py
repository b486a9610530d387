"""Test the command line with real processes, a simulated 3CX with TLS and a real Redis."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tests.bus import RealBus, free_port, real_bus
from tests.gateway.cli.console import ROOT, WITHIN, callmon, found_in, running
from tests.gateway.cli.runtime.test_workers import ready


@dataclass(frozen=True, slots=True)
class Site:
    """What runs: a simulated PBX with TLS, Redis, a monitor and a gateway."""

    settings: Path
    address: str
    text: str
    """Of the settings file."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        bus: RealBus = await stack.enter_async_context(real_bus())
        simulate = (
            "simulate",
            "--tls",
            "--port",
            str(free_port()),
            "--extensions",
            "12",
            "--queues",
            "2",
            "--rate",
            "120",
        )
        _, printed = await stack.enter_async_context(running(*simulate, until=".pem"))
        url, client_id = (
            found_in(r"(https://\S+)", printed),
            found_in(r"client id:\s+(\S+)", printed),
        )
        secret, ca_file = (
            found_in(r"client secret:\s+(\S+)", printed),
            found_in(r"(/\S+\.pem)", printed),
        )
        directory = tmp_path_factory.mktemp("site")
        settings = directory / "callmon.toml"
        port = free_port()
        text = f"""
[redis]
url = "{bus.url}"

[monitor]
state_dir = "{directory}"
lease_duration = 30.0

[gateway]
port = {port}

[[pbx]]
name = "main"
url = "{url}"
client_id = "{client_id}"
client_secret = "{secret}"
ca_file = "{ca_file}"
"""
        settings.write_text(text, encoding="utf-8")
        for what in ("monitor", "gateway"):
            await stack.enter_async_context(_background(what, "--config", str(settings)))
        address = f"http://127.0.0.1:{port}"
        await ready(address)
        yield Site(settings, address, text)


@asynccontextmanager
async def _background(*arguments: str) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", *arguments), cwd=ROOT
    )
    try:
        yield
    finally:
        process.terminate()
        async with asyncio.timeout(WITHIN):
            assert await process.wait() == 0


async def becomes(http: httpx.AsyncClient, path: str, status: int) -> httpx.Response:
    """Ask until it is answered so; that answer."""
    async with asyncio.timeout(WITHIN):
        while (answer := await http.get(path)).status_code != status:  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(0.05)
    return answer


@pytest.mark.asyncio(loop_scope="module")
async def test_check_finds_that_all_is_well(site: Site) -> None:
    said = await callmon("check", "--config", str(site.settings))
    assert said.code == 0, said.out
    assert "All is well." in said.out
    for what in ("Redis: answers", "monitor of main", "XAPI", "Call Control", "web client"):
        assert what in said.out


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (r'client_secret = "[^"]+"|client_secret = "wrong"', "does not accept the API client"),
        (r'url = "https://[^"]+"|url = "https://127.0.0.1:1"', "cannot be reached"),
        (r'ca_file = "[^"]+"|verify = true', "certificate is not trusted"),
        (r'url = "redis://[^"]+"|url = "redis://127.0.0.1:1"', "Redis"),
        (
            r'\Z|[pbx.database]\nhost = "127.0.0.1"\nport = 1\nuser = "callmon"\npassword = "x"\n',
            "database at 127.0.0.1:1",
        ),
    ],
    ids=["secret", "address", "certificate", "redis", "database"],
)
async def test_check_says_what_is_wrong_in_words(
    site: Site, tmp_path: Path, change: str, says: str
) -> None:
    pattern, _, after = change.partition("|")
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(re.sub(pattern, after, site.text, count=1), encoding="utf-8")
    said = await callmon("check", "--config", str(wrong))
    assert said.code == 1
    assert any(says in line for line in said.out.splitlines() if line.startswith("WRONG")), said.out


@pytest.mark.asyncio(loop_scope="module")
async def test_a_key_is_made_used_listed_and_revoked(site: Site) -> None:
    config = ("--config", str(site.settings))
    made = await callmon("key", "new", "--name", "wall", "--scopes", "read,control", *config)
    assert made.code == 0, made.err
    raw = found_in(r"shown this once: (\S+)", made.out)
    async with httpx.AsyncClient(base_url=site.address, timeout=WITHIN) as http:
        await becomes(http, f"/webapi/{raw}/pbx.calls.get", 200)
        change = f"/webapi/{raw}/ext.fwd.set?num=101&status=Away"
        changed = await becomes(
            http, change, 200
        )  # each check took the monitor's token, so it may be out of reach for a moment
        assert changed.json() == {"result": True}
        listed = await callmon("key", "list", *config)
        assert "wall" in listed.out
        assert raw not in listed.out
        again = await callmon("key", "new", "--name", "wall", *config)
        assert (again.code, "already" in again.err) == (1, True)
        assert (await callmon("key", "revoke", "wall", *config)).code == 0
        await becomes(http, f"/webapi/{raw}/pbx.calls.get", 401)
    written = await callmon("audit", *config)
    assert "ext.fwd.set" in written.out
    assert "wall" in written.out


@pytest.mark.asyncio(loop_scope="module")
async def test_the_store_is_backed_up_while_the_monitor_runs_and_restored_only_after(
    site: Site, tmp_path: Path
) -> None:
    config = ("--config", str(site.settings))
    file = tmp_path / "backup.db"
    made = await callmon("backup", str(file), *config)
    assert (made.code, made.err) == (0, "")
    assert re.fullmatch(
        rf"{file} is written and checked\. API keys: \d+, entries of the audit log: \d+, .*\n",
        made.out,
    )
    again = await callmon("backup", str(file), *config)
    assert (again.code, again.err) == (
        1,
        f"callmon: {file} exists already and is not overwritten: name another file.\n",
    )
    refused = await callmon("restore", str(file), *config)
    assert refused.code == 1
    assert re.search(r"callmon\.db is in use, .*: stop that first", refused.err)
    elsewhere = tmp_path / "elsewhere.toml"
    elsewhere.write_text(f'[monitor]\nstate_dir = "{tmp_path}"\n', encoding="utf-8")
    restored = await callmon("restore", str(file), "--config", str(elsewhere))
    assert restored.out.startswith(f"{tmp_path / 'callmon.db'} is restored and checked."), (
        restored.err
    )


@pytest.mark.asyncio(loop_scope="module")
async def test_tail_and_snapshot_show_what_goes_on(site: Site) -> None:
    config = ("--config", str(site.settings))
    raw = found_in(r"once: (\S+)", (await callmon("key", "new", "--name", "viewer", *config)).out)
    async with httpx.AsyncClient(base_url=site.address, timeout=WITHIN) as http:
        await becomes(http, f"/webapi/{raw}/pbx.calls.get", 200)
    where = ("--url", site.address, "--key", raw)
    state = json.loads((await callmon("snapshot", *where)).out)
    assert "calls" in json.dumps(state)
    async with running("tail", *where, until="\n") as (_, printed):
        assert printed.strip()
    async with running("tail", "--json", *where, until="\n") as (_, printed):
        assert isinstance(json.loads(printed.splitlines()[0]), dict)
    wrong = await callmon("tail", "--url", site.address, "--key", "no-such-key")
    assert wrong.code == 1
    assert "key" in wrong.err.lower()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("monitor", "--config", "no-such-file.toml"), "cannot be read"),
        (("gateway",), "no [[pbx]] section"),
        (("monitor",), "nothing to watch"),
        (("simulate", "--latency", "soon"), "write 50ms"),
        (("simulate", "--switch", "colour=red"), "is not a switch"),
        (("key", "new", "--name", "x", "--scopes", "root"), "not a scope"),
        (("key", "new", "--name", "x", "--networks", "here"), "192.0.2.0/24"),
        (("audit",), "no state_dir"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
async def test_a_mistake_is_a_sentence(arguments: tuple[str, ...], says: str) -> None:
    said = await callmon(*arguments)
    assert said.code != 0
    assert says in re.sub(r"\s*\n[│ ]*", " ", said.err), said.err


async def test_a_misspelt_setting_is_found_and_the_right_one_named(tmp_path: Path) -> None:
    settings = tmp_path / "callmon.toml"
    settings.write_text('[redis]\nulr = "redis://127.0.0.1"\n', encoding="utf-8")
    for service in ("monitor", "gateway"):
        with systemd(tmp_path) as told:
            said = await callmon(
                service, "--config", str(settings), NOTIFY_SOCKET=str(told.getsockname())
            )
            assert said.code == os.EX_CONFIG
            assert "did you mean url?" in said.err
            assert (
                told.recv(4096).decode()
                == f"STATUS={settings}: redis.ulr is not a setting; did you mean url?"
            )


async def test_what_may_pass_by_itself_is_no_wrong_setting(tmp_path: Path) -> None:
    """So systemd starts it again: exit code 1, not 78."""
    with socket.create_server(("127.0.0.1", 0)) as taken, systemd(tmp_path) as told:
        port = taken.getsockname()[1]
        settings = tmp_path / "callmon.toml"
        pbx = (
            '[[pbx]]\nname = "main"\nurl = "http://127.0.0.1:1"\nclient_id = '
            '"c"\nclient_secret = "s"\n'
        )
        state = f'[monitor]\nstate_dir = "{settings}"\n'  # a file, where a directory is wanted
        settings.write_text(f'[redis]\nurl = "redis://127.0.0.1:1"\n{state}{pbx}', encoding="utf-8")
        address = str(told.getsockname())
        for command, says in (
            (("gateway", "--port", str(port)), f"Cannot listen on 127.0.0.1:{port}"),
            (("monitor",), "state_dir: "),
        ):
            said = await callmon(*command, "--config", str(settings), NOTIFY_SOCKET=address)
            assert (said.code, says in said.err) == (1, True), said.err
            assert told.recv(4096).decode().partition(says)[0] in ("STATUS=", "STATUS=[monitor] ")


@contextmanager
def systemd(directory: Path) -> Iterator[socket.socket]:
    """Where a service tells systemd how it is."""
    path = directory / "notify"
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.settimeout(WITHIN)
        told.bind(str(path))
        yield told


async def test_a_port_that_is_taken_is_said_so() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        said = await callmon("demo", "--port", str(taken.getsockname()[1]))
    assert said.code == 1
    assert "Cannot listen on 127.0.0.1" in said.err


async def test_it_says_which_version_it_is() -> None:
    assert (await callmon("--version")).out == f"callmon {metadata.version('callmon')}\n"
