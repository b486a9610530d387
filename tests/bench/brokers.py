"""Run other programs' servers as peers: nchan in nginx, and NATS, both with WebSocket subscribers.

Both are packages of Debian (``nginx``, ``libnginx-mod-nchan``, ``nats-server``). What is not
installed is left out. The publisher has one connection that stays open, as the monitor has. The
servers neither log nor compress nor keep messages, and send no heartbeats meanwhile.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from monitor.shared.tasks import running
from tests.bench.processes import Party, party
from tests.bus import free_port

NCHAN: Final = "nchan (nginx, in C)"
NATS: Final = "NATS (in Go)"
NCHAN_PATH: Final = "/subscribe"
NATS_HELLO: Final = 'CONNECT {"verbose":false,"pedantic":false}\r\nSUB frames 1\r\n'
"""First text of a client; see https://docs.nats.io/reference/reference-protocols/nats-protocol."""
NATS_SETTLES_S: Final = 4.0
"""Seconds after which NATS has sent each client its first ping."""
_PACKAGES: Final = {NCHAN: "nginx and libnginx-mod-nchan", NATS: "nats-server"}
_PLACES: Final = os.pathsep.join(("/usr/sbin", "/usr/local/sbin"))
_PATIENCE_S: Final = 20.0

Send = Callable[[], Awaitable[None]]


def missing() -> dict[str, str]:
    """Return those that cannot run here, each with the packages that it needs."""
    found = {NCHAN: _module().is_file(), NATS: bool(_program("nats-server"))}
    return {name: _PACKAGES[name] for name, there in found.items() if not there}


@asynccontextmanager
async def nchan(frame: int) -> AsyncIterator[tuple[Party, Send]]:
    """Run nginx as one process, and a publisher of frames of so many bytes."""
    with tempfile.TemporaryDirectory(prefix="callmon-bench-") as folder:
        port, settings = free_port(), Path(folder) / "nginx.conf"
        settings.write_text(_nginx_settings(port), encoding="utf-8")
        command = (_program("nginx"), "-p", folder, "-c", str(settings), "-e", "stderr")
        async with party(*command, speaks=False) as server:
            server.port = port
            head = f"POST /publish HTTP/1.1\r\nHost: bench\r\nContent-Length: {frame}\r\n\r\n"
            async with _publishing(port, head.encode() + b"x" * frame) as send:
                yield server, send


@asynccontextmanager
async def nats(frame: int) -> AsyncIterator[tuple[Party, Send]]:
    """Run NATS and a publisher of messages that make frames of so many bytes with their heads."""
    with tempfile.TemporaryDirectory(prefix="callmon-bench-") as folder:
        port, plain, settings = free_port(), free_port(), Path(folder) / "nats.conf"
        settings.write_text(_nats_settings(port, plain), encoding="utf-8")
        command = (_program("nats-server"), "--config", str(settings))
        async with party(*command, speaks=False) as server:
            server.port = port
            size = frame - len(f"MSG frames 1 {frame}\r\n\r\n")
            message = f"PUB frames {size}\r\n{'x' * size}\r\n".encode()
            hello = b'CONNECT {"verbose":false}\r\n'
            _, subscribers = await _connected(port)
            subscribers.close()
            async with _publishing(plain, message, hello) as send:
                yield server, send


@asynccontextmanager
async def _publishing(port: int, message: bytes, hello: bytes = b"") -> AsyncIterator[Send]:
    """Connect as soon as the server listens; what it answers is read and thrown away."""
    reader, writer = await _connected(port)
    writer.write(hello)

    async def send() -> None:
        writer.write(message)
        await writer.drain()

    try:
        async with running(_discard(reader)):
            yield send
    finally:
        writer.close()


async def _connected(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    async with asyncio.timeout(_PATIENCE_S):
        while True:
            try:
                return await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)


async def _discard(reader: asyncio.StreamReader) -> None:
    while await reader.read(4096):
        pass


def _program(name: str) -> str:
    """Return the path of a program; empty if it is not installed."""
    return shutil.which(name) or shutil.which(name, path=_PLACES) or ""


def _module() -> Path:
    """Return where Debian puts nchan beside its nginx."""
    return Path(_program("nginx")).parent.parent / "lib/nginx/modules/ngx_nchan_module.so"


def _nginx_settings(port: int) -> str:
    channel = "nchan_channel_id frames; nchan_message_buffer_length 0;"
    return f"""
load_module {_module()};
daemon off;
master_process off;
pid nginx.pid;
error_log stderr error;
events {{ worker_connections 20000; }}
http {{
    access_log off;
    tcp_nodelay on;
    keepalive_requests 1000000;
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location = {NCHAN_PATH} {{
            nchan_subscriber websocket; nchan_subscriber_first_message newest; {channel}
        }}
        location = /publish {{ nchan_publisher http; client_body_buffer_size 64k; {channel} }}
    }}
}}
"""


def _nats_settings(port: int, plain: int) -> str:
    return f"""
listen: "127.0.0.1:{plain}"
ping_interval: "1h"
logfile: "/dev/null"
websocket {{ listen: "127.0.0.1:{port}", no_tls: true, compression: false }}
"""
