"""Play the clients of an HTTP benchmark: a process that repeats a request on each connection.

A line ``{"port", "request", "times"}`` makes it send that request so often in all, and say how many
had which status and how many bytes came; ``"body": true`` sends it once and tells the answer's head
and body.
"""

from __future__ import annotations

import json
import re
import select
import socket
import sys
from collections import Counter
from typing import Any

_CONNECTIONS = 8
_READ = 1 << 20
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)


class Client:
    """One connection that is kept."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._missing = 0
        self._buffer = memoryview(bytearray(_READ))
        self.head = b""

    def received(self) -> bool:
        """Read what is there; whether the answer is whole. All of its head must come at once."""
        got = self.sock.recv_into(self._buffer)
        if not got:
            raise RuntimeError("the server closed the connection")
        if not self._missing:
            data = bytes(self._buffer[: min(got, 4096)])
            end = data.index(b"\r\n\r\n") + 4
            self.head = data[:end]
            length = _LENGTH.search(self.head)
            self._missing = end + (
                int(length[1]) if length and b" 304 " not in self.head[:16] else 0
            )
        self._missing -= got
        return self._missing == 0


def requests(port: int, request: bytes, times: int) -> dict[str, Any]:
    """Send it so often; how many answers had which status."""
    clients = [Client(port) for _ in range(_CONNECTIONS)]
    epoll = select.epoll()
    statuses: Counter[str] = Counter()
    by_fd = {client.sock.fileno(): client for client in clients}
    left = times
    for client in clients:
        epoll.register(client.sock.fileno(), select.EPOLLIN)
        client.sock.sendall(request)
        left -= 1
    answered = 0
    while answered < times:
        for fd, _ in epoll.poll():
            client = by_fd[fd]
            if client.received():
                answered += 1
                statuses[client.head[9:12].decode()] += 1
                if left > 0:
                    left -= 1
                    client.sock.sendall(request)
    for client in clients:
        client.sock.close()
    return {"statuses": statuses}


def once(port: int, request: bytes) -> dict[str, Any]:
    """Send it once; the head and the body of the answer."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(request)
        data = b""
        while b"\r\n\r\n" not in data:
            data += sock.recv(_READ)
        head, _, body = data.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        while length and len(body) < int(length[1]):
            body += sock.recv(_READ)
    return {"head": head.decode(), "body": body.decode()}


def main() -> None:
    """Until the end of the commands."""
    print(json.dumps({"port": 0}), flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        request = command["request"].encode()
        answer = once if command.get("body") else requests
        more = {} if command.get("body") else {"times": command["times"]}
        print(json.dumps(answer(command["port"], request, **more)), flush=True)


if __name__ == "__main__":
    main()
