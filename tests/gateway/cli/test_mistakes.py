"""Test beginners' mistakes: each gets a sentence that says what would be right."""

from __future__ import annotations

import asyncio
import errno
import importlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import typer
from structlog.testing import capture_logs

from gateway.cli import _run
from gateway.cli.check import pbx as check_pbx
from gateway.cli.runtime.metrics_server import exposed, new_registry
from gateway.config import GatewaySection, GatewaySettings
from gateway.pbx_context import open_view
from monitor.config import MonitorSettings, PbxSection
from monitor.pbx.v20_client import PbxClient
from monitor.persistence.sqlite_store import STORE, Store
from monitor.run import database, pbx_settings
from monitor.shared.errors import ConfigError
from monitor.shared.http_server import bind
from monitor.shared.redis.topology import RedisClients
from monitor.shared.tasks import running
from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from tests.bus import RealBus, free_port, until
from tests.gateway.cli.console import PBX, callmon, settings_file

audit: Any = importlib.import_module(
    "gateway.cli.audit"
)  # the package's own names of them are the commands
record: Any = importlib.import_module("gateway.cli.record")
workers: Any = importlib.import_module("gateway.cli.runtime.workers")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            PBX.replace("[[pbx]]", "[pbx]"),
            "[pbx] has one pair of brackets too few; write [[pbx]], once for each",
        ),
        (
            '[[redis]]\nurl = "redis://127.0.0.1"\n',
            "[[redis]] has one pair of brackets too many; write [redis], once",
        ),
        (
            PBX + '[database]\nuser = "x"\n',
            "[database] is not a section by itself; write [pbx.database], after its [[pbx]]",
        ),
        (
            PBX + "[figures]\n",
            "[figures] is not a section by itself; write [pbx.figures], after its [[pbx]]",
        ),
        (
            '[pbx.database]\nuser = "x"\n' + PBX,
            "[pbx.database] and [pbx.figures] must come after their [[pbx]]",
        ),
        (
            PBX.replace('"https://pbx.example.com:5001"', "https://pbx"),
            "put text in quotation marks",
        ),
        ('[monitor]\nstate_dir = "C:\\callmon"\n', r"write \\ for \, or the whole text in '…'"),
        (PBX.encode("utf-16"), "it is not text in UTF-8; save it as UTF-8"),
        (
            PBX.replace('"main"', '"Main Office"'),
            'write small letters, digits, "-" and "_", at most 32, such as "main"',
        ),
        (
            '[redis]\nhost = "x"\n',
            "user and password stand in url: redis://user:password@host:port/0",
        ),
        ('[redis]\nurl = "127.0.0.1:6379"\n', "redis.url: it does not begin with redis://; write"),
        ('[redis]\nurl = "redis://:hunter2@a:x"\n', "redis.url: 'a:x' has no port between 1 and"),
        (
            PBX.replace("https://", ""),
            (
                "must be the PBX's address alone, such as https://pbx.example.com:5001: with "
                "https:// in front, and nothing behind the port"
            ),
        ),
        (PBX.replace("5001", "5001/webclient"), "must be the PBX's address alone"),
        (PBX.replace("https://", "https://admin:hunter2@"), "must be the PBX's address alone"),
        (PBX.replace("5001", "5001#/login"), "must be the PBX's address alone"),
        (PBX.replace("5001", "0"), "must be the PBX's address alone"),
        (PBX.replace("pbx.ex", "pbx..ex"), "must be the PBX's address alone"),
        (PBX.replace('"hunter2"', '"hunter2\\u0000x"'), "client_secret: a line end or another con"),
        (PBX + 'request_timeout = "10s"\n', "is '10s': write a number, without a unit"),
        (PBX + 'ca_file = "~/ca.pem"\n', "'~/ca.pem': ~ means nothing here; write the whole path"),
        (PBX + '[pbx.figures]\ntime_zone = "Berlin"\n', "'Berlin': write an IANA name, such as"),
        (PBX + "verify = 7\n", "verify is 7: write true or false"),
        (PBX + "ca_file = true\n", "ca_file is true: write text, in quotation marks"),
        (PBX + 'did_map = ["x"]\n', 'did_map: write a table in braces, such as { "…" = … }'),
        (PBX + 'source = "tapi"\n', "write 'auto', 'callcontrol+activecalls', 'activecalls' or"),
        (PBX + "poll_interval = 0\n", "poll_interval is 0: write more than 0"),
        ('redis = "redis://x"\n', "a section with settings of its own belongs here"),
        (PBX.replace('callmon"', "callmon"), "the quotation mark at the end of the text is miss"),
        (PBX.replace("client_id", "client id"), "write name = value, the name without blanks"),
        (PBX + "poll_interval = 0,5\n", "a number has a point, no comma and no unit"),
        (PBX + "// 3CX\n", "a line is a setting (name = value), a section ([redis]) or a comm"),
        (PBX.replace("[[pbx]]", "[[pbx]"), "a section ends with as many brackets as it begins"),
        (PBX.replace("[[pbx]]", "[ [pbx] ]"), "a section is written without blanks: [redis]"),
    ],
    ids=lambda value: value[-40:] if isinstance(value, str) else "utf-16",
)
def test_settings_that_are_written_wrongly(tmp_path: Path, text: str | bytes, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        MonitorSettings.load(settings_file(tmp_path, text))
    assert says in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_sections_of_the_gateway_that_are_written_wrongly(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"\[stream\] is not a section by itself; write \[gateway.stream\]$"
    ):
        GatewaySettings.load(settings_file(tmp_path, "[stream]\n"))
    with pytest.raises(
        ConfigError, match=r"\[keys\] has one pair of brackets too few; write \[\[keys\]\]"
    ):
        GatewaySettings.load(settings_file(tmp_path, '[keys]\nname = "x"\n'))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('scopes = "read"', "scopes is 'read': write a list, such as"),
        ('scopes = ["raed"]', "scopes[0] is 'raed': write 'read', 'contacts', 'control', 'admin'"),
        ("scopes = []", "scopes: write at least one, or leave it out"),
        ("expires = 2030-01-01", "expires is 2030-01-01: write a time with its zone, such as 2030"),
        ('expires = "soon"', "expires is 'soon': write a time with its zone, such as 2030-01-01T"),
        ('networks = ["10.0.0.1/8"]', "behind the length are 0"),
        (
            '[gateway]\ncors_origins = ["wall"]',
            'write an origin, such as "https://wall.example.com',
        ),
        ('[gateway]\nforwarded_allow_ips = "10.0.0.1;10.0.0.2"', "write them with commas between"),
        ('[gateway]\nforwarded_allow_ips = "http://proxy"', "is not an address, network or name"),
    ],
)
def test_settings_of_the_gateway_that_are_written_wrongly(
    tmp_path: Path, text: str, says: str
) -> None:
    key = f'[[pbx]]\nname = "main"\n[[keys]]\nname = "x"\ndigest = "{"0" * 64}"\n'
    with pytest.raises(ConfigError) as caught:
        GatewaySettings.load(settings_file(tmp_path, key + text + "\n"))
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "proxies",
    ["", "*", "::1", "fe80::1%eth0, 10.0.0.0/8", "2001:db8::/32,proxy", "a_b.example.com"],
)
def test_proxies_that_are_written_rightly(tmp_path: Path, proxies: str) -> None:
    text = f'[gateway]\nforwarded_allow_ips = "{proxies}"\n'
    assert (
        GatewaySettings.load(settings_file(tmp_path, text)).gateway.forwarded_allow_ips == proxies
    )


def test_a_secrets_file_that_is_absent_is_named_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = PBX.replace('client_secret = "hunter2"', 'client_secret_file = "main.secret"')
    with pytest.raises(ConfigError, match=rf"No such file or directory: {tmp_path}/main.secret$"):
        pbx_settings(MonitorSettings.load(settings_file(tmp_path, text)).pbx[0])


def test_a_file_without_certificates(tmp_path: Path) -> None:
    text = PBX + f'ca_file = "{tmp_path}/callmon.toml"\n'
    section = MonitorSettings.load(settings_file(tmp_path, text)).pbx[0]
    with pytest.raises(
        ConfigError, match=r"callmon\.toml cannot be used: it has no certificate in PEM$"
    ):
        PbxClient(pbx_settings(section))


def test_what_editors_of_windows_write_is_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes("\ufeffhunter2\r\n".encode())
    text = PBX.replace('client_secret = "hunter2"', f'client_secret_file = "{secret}"')
    assert (
        MonitorSettings.load(settings_file(tmp_path, "\ufeff" + text)).pbx[0].secret() == "hunter2"
    )


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\n", "is empty: {file}; it must hold only the secret"),
        (b"callmon\nhunter2\n", "has several lines: {file}; it must hold only the secret"),
        (b"\xff\xfehunter2", "is not text: {file}; it must hold only the secret"),
        (None, "cannot be read: No such file or directory: {file}"),
    ],
    ids=["empty", "lines", "binary", "absent"],
)
def test_a_secrets_file_that_holds_none(tmp_path: Path, content: bytes | None, says: str) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    section = {
        "name": "main",
        "url": "https://pbx",
        "client_id": "callmon",
        "client_secret_file": file,
    }
    with pytest.raises(ConfigError) as caught:
        pbx_settings(PbxSection.model_validate(section))
    assert str(caught.value) == f"pbx main: client_secret_file {says.format(file=file)}"
    sql = {"user": "callmon", "password_file": file}
    with pytest.raises(ConfigError) as caught:
        database(PbxSection.model_validate(section | {"database": sql}))
    assert str(caught.value) == f"pbx main: password_file {says.format(file=file)}"


# another service at the PBX's address

PAGE = b"<!DOCTYPE html><html><body>Welcome</body></html>"


@asynccontextmanager
async def answering(status: str, body: bytes, *headers: str) -> AsyncIterator[str]:
    """A service that has the same answer for everybody; its address."""
    head = "\r\n".join(
        (
            f"HTTP/1.1 {status}",
            f"Content-Length: {len(body)}",
            "Connection: close",
            *headers,
            "",
            "",
        )
    )

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


async def found(url: str, **more: object) -> str:
    given = more or {"client_id": "callmon", "client_secret": "hunter2"}
    section = PbxSection.model_validate({"name": "main", "url": url, **given})
    said = "\n".join([str(finding) async for finding in check_pbx.look_at(section, None)])
    assert "hunter2" not in said
    return said


OTHER = (
    "The server at {url} is not a 3CX of version 20: it has no POST /connect/token "
    "({status}). See url: host and port"
)


@pytest.mark.parametrize(
    ("status", "body", "header", "says"),
    [
        ("200 OK", PAGE, "Content-Type: text/html", OTHER),
        ("404 Not Found", PAGE, "Content-Type: text/html", OTHER),
        ("404 Not Found", b"", "X-Of: an older 3CX", OTHER),
        ("405 Not Allowed", PAGE, "Content-Type: text/html", OTHER),
        ("401 Unauthorized", PAGE, 'WWW-Authenticate: Basic realm="phone"', OTHER),
        ("400 Bad Request", PAGE, "Content-Type: text/html", OTHER),
        ("403 Forbidden", PAGE, "Server: a firewall", OTHER),
        ("501 Not Implemented", PAGE, "Server: another vendor", OTHER),
        (
            "400 Bad Request",
            b"sent to HTTPS port",
            "Server: nginx",
            "The PBX wants https: write https:// in url.",
        ),
        ("200 OK", b"{}", "Content-Type: application/json", "has no token: is it a 3CX? See url."),
        (
            "301 Moved",
            PAGE,
            "Location: https://pbx.example.com/x",
            "if its own address is https://pbx.example.com, write that as url",
        ),
        ("502 Bad Gateway", PAGE, "Server: nginx", "The PBX answered 502 to POST /connect/token."),
        (
            "401 Unauthorized",
            b'{"error": "invalid_client"}',
            "Server: nginx",
            "does not accept the API client 'callmon'",
        ),
        (
            "400 Bad Request",
            b"",
            "Server: nginx",
            "does not accept the API client 'callmon' with this secret",
        ),
    ],
)
async def test_what_is_no_pbx_is_told_from_a_wrong_secret(
    status: str, body: bytes, header: str, says: str
) -> None:
    async with answering(status, body, header) as url:
        said = await found(url)
    assert says.format(url=url, status=status[:3]) in said


async def test_a_page_where_the_documented_interface_should_be() -> None:
    async with answering("200 OK", PAGE) as url:
        said = await found(url, key="hunter2")
    assert (
        "The server that answers GET /webapi/all.ext.get is not a PBX (a web page); see url."
        in said
    )


async def test_tls_where_none_is() -> None:
    async with SimulatedPbx(SimulatorSettings(traffic=False)) as pbx:
        said = await found(pbx.url.replace("http:", "https:"))
    assert "does not use TLS as callmon knows it" in said
    assert "whether it is http:// there" in said


# the monitor's directory


# addresses to listen on


async def listen(what: str, host: str, port: int) -> None:
    if what == "gateway":
        settings = GatewaySection(host=host, port=port)
        bind(settings.host, settings.port).close()
    elif what == "workers":
        workers._check_free(host, port)
    elif what == "metrics":
        async with exposed(new_registry("gateway"), host, port):
            pass
    else:
        async with SimulatedPbx(SimulatorSettings(host=host, port=port, traffic=False)):
            pass


@pytest.mark.parametrize("what", ["gateway", "workers", "metrics", "simulate"])
async def test_an_address_that_cannot_be_listened_on(what: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            ConfigError,
            match=rf" on 127.0.0.1:{port}: another program listens there already; stop it",
        ):
            await listen(what, "127.0.0.1", port)
    for host in ("callmon.invalid", "http://0.0.0.0", "a" * 70 + ".b"):
        with pytest.raises(
            ConfigError, match="that name is not known; choose an address of this host, such as 127"
        ):
            await listen(what, host, free_port())
    with pytest.raises(
        ConfigError, match=r" on \[::1\]:\d+: write an IPv6 address without brackets: ::1\.$"
    ):
        await listen(what, "[::1]", free_port())
    with pytest.raises(
        ConfigError,
        match=r" on 192.0.2.1:\d+: this host has no such address; choose one that it has",
    ):
        await listen(what, "192.0.2.1", free_port())


# a recording of nothing


async def test_a_recording_of_a_pbx_that_was_never_connected_is_no_success(
    valkey: RealBus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = PBX.replace("https://pbx.example.com:5001", f"http://127.0.0.1:{free_port()}")
    settings = settings_file(tmp_path, f'[redis]\nurl = "{valkey.url}"\n{text}')
    assert await record.run(settings, tmp_path / "x.jsonl", "", 0.02, "", None, unmasked=False) == 1
    assert (
        "The PBX was never connected, so the recording has no calls; run callmon check."
        in capsys.readouterr().out
    )


# disks


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "callmon: No space left on device\n"),
        (
            OSError(errno.EROFS, "Read-only file system", "/x"),
            "callmon: /x: Read-only file system\n",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "/x/y"),
            "callmon: /x/y: Permission denied\n",
        ),
    ],
    ids=["full", "read-only", "rights"],
)
def test_a_disk_that_takes_nothing(
    error: OSError, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async def work() -> None:
        raise error

    with pytest.raises(typer.Exit) as ended:
        _run(work())
    assert ended.value.exit_code == 1
    assert capsys.readouterr().err == says


def test_a_failure_that_is_no_disks_keeps_its_trace() -> None:
    async def work() -> None:
        raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")

    with pytest.raises((ExceptionGroup, ConnectionResetError)):
        _run(work())


@pytest.mark.parametrize("command", ["check", "key list", "status"])
async def test_settings_without_a_pbx_are_named(command: str, tmp_path: Path) -> None:
    said = await callmon(
        *command.split(), cwd=str(tmp_path), CALLMON_ETC=str(tmp_path), CALLMON_CONFIG=""
    )
    assert said.code
    assert f"neither {tmp_path}/callmon.toml" in said.out + said.err
    empty = settings_file(tmp_path, "")
    said = await callmon(*command.split(), "--config", str(empty))
    assert said.code
    assert str(empty) in said.out + said.err


async def test_old_names_of_settings_are_wrong_settings_in_the_file_and_in_the_environment(
    tmp_path: Path,
) -> None:
    file = settings_file(tmp_path, f"[gateway.stream]\noldest = 60\n[monitor]\nlease = 5\n{PBX}")
    said = await callmon("gateway", "--config", str(file))
    assert (said.code, said.err) == (
        os.EX_CONFIG,
        f"callmon: {file}: gateway.stream.oldest is now max_connection_age\n",
    )
    said = await callmon("monitor", "--config", str(file))
    assert (said.code, said.err) == (
        os.EX_CONFIG,
        f"callmon: {file}: monitor.lease is now lease_duration\n",
    )
    said = await callmon(
        "gateway",
        "--config",
        str(settings_file(tmp_path, PBX)),
        CALLMON_GATEWAY__STREAM__OLDEST="60",
    )
    assert said.code == os.EX_CONFIG
    assert (
        "CALLMON_GATEWAY__STREAM__OLDEST is now CALLMON_GATEWAY__STREAM__MAX_CONNECTION_AGE"
        in said.err
    )


async def test_settings_that_may_not_be_read_are_wrong_settings_and_no_wrong_option(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "callmon.toml"
    folder.mkdir()
    said = await callmon("gateway", "--config", str(folder))
    assert (said.code, said.err) == (
        os.EX_CONFIG,
        f"callmon: {folder}: cannot be read: Is a directory\n",
    )


@pytest.mark.parametrize("command", ["check", "status", "simulate --port 0"])
async def test_a_reader_that_goes_ends_it_without_a_trace(command: str, tmp_path: Path) -> None:
    """As ``callmon tail | head`` does."""
    settings = settings_file(tmp_path, f'[redis]\nurl = "redis://127.0.0.1:{free_port()}"\n{PBX}')
    reader, writer = os.pipe()
    os.close(reader)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", *command.split()),
        stdout=writer,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"CALLMON_CONFIG": str(settings)},
    )
    os.close(writer)
    _, err = await process.communicate()
    assert process.returncode == 128 + signal.SIGPIPE
    assert b"Traceback" not in err, err.decode()


@pytest.mark.parametrize(
    "command", ["--version", "audit", "key new --name k --pbx main --print-block"]
)
async def test_a_full_disk_behind_the_output_is_a_sentence(command: str, tmp_path: Path) -> None:
    settings = settings_file(tmp_path, f'[monitor]\nstate_dir = "{tmp_path}"\n{PBX}')
    store = Store(tmp_path / STORE)
    await store.open()
    await store.close()
    full = os.open("/dev/full", os.O_WRONLY)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", *command.split()),
        stdout=full,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"CALLMON_CONFIG": str(settings)},
    )
    os.close(full)
    _, err = await process.communicate()
    assert (process.returncode, err) == (1, b"callmon: No space left on device\n")


# Redis


async def test_a_redis_that_is_away_is_warned_of_once() -> None:
    servers = RedisClients(f"redis://127.0.0.1:{free_port()}")
    with capture_logs() as lines:
        view = open_view("main", servers.of("main"))
        listener, follower = view.commander._pubsub_listener, view.live_feed
        try:
            async with running(view.commander.run(), follower.run()):
                await until(lambda: min(listener._backoff.failures, follower._backoff.failures) > 2)
        finally:
            await servers.aclose()
    warnings = [line for line in lines if line["log_level"] == "warning"]
    assert sorted(line["event"] for line in warnings) == [
        "follower_connection_lost",
        "pubsub_listener_connection_lost",
    ]
    for warning in warnings:
        assert warning["reason"].startswith("Redis: nothing listens at 127.0.0.1:")
