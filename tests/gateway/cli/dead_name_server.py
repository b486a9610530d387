"""Look up names in a monitor's process where the name server never answers.

Run it as root in network and mount namespaces of its own, with a settings file as the argument. It
prints how many of the lookups that hang were over when the one that does not hang was.
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import subprocess
import sys
from pathlib import Path

import uvloop

from gateway.cli import monitor_process

HANGING = 20
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 0x1  # as in <linux/sockios.h> and <linux/if.h>


def deaf(folder: Path) -> socket.socket:
    """Make a name server that never answers this namespace's only one."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    request = struct.pack("16sH14x", b"lo", 0)
    flags = struct.unpack("16sH14x", fcntl.ioctl(server, _GET_FLAGS, request))[1]
    fcntl.ioctl(server, _SET_FLAGS, struct.pack("16sH14x", b"lo", flags | _UP))
    server.bind(("127.0.0.1", 53))
    file = folder / "resolv.conf"
    file.write_text("nameserver 127.0.0.1\noptions timeout:30 attempts:1\n", encoding="utf-8")
    subprocess.run(["mount", "--bind", str(file), "/etc/resolv.conf"], check=True)
    return server


async def main(settings: Path) -> None:
    monitor = asyncio.create_task(monitor_process.run(settings))
    await asyncio.sleep(0.1)
    assert not monitor.done()
    loop = asyncio.get_running_loop()
    hanging = [
        asyncio.ensure_future(loop.getaddrinfo(f"pbx{number}.example", 443))
        for number in range(HANGING)
    ]
    await asyncio.sleep(0.5)
    await loop.getaddrinfo("localhost", 443)
    print(sum(lookup.done() for lookup in hanging), flush=True)


if __name__ == "__main__":
    file = Path(sys.argv[1])
    held = deaf(file.parent)
    try:
        uvloop.run(main(file))
    finally:
        held.close()
