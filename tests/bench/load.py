"""Play a benchmark's subscribers: a process with thousands of raw sockets that discards all.

Commands, a line of JSON each: ``open`` connects sockets of a group, each of which says ``hello`` if
that is given; ``say`` sends a text to each of a group; ``expect`` answers once a group has received
so many bytes in all, with the times of the first, the middle and the last read; ``give up`` ends
that; ``rest`` reads nothing for so many seconds; ``count``
tells bytes and closed connections.
"""

from __future__ import annotations

import json
import mmap
import os
import select
import socket
import struct
import sys
import time
from array import array
from pathlib import Path
from typing import Any

HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{offer}\r\n"
)
_COMPRESSION = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
_AT_ONCE = 100
_READ = 64 * 1024
_PING = 6
"""Bytes of a ping as the servers send it. They count, as nobody can tell them in a long read."""
_SMALL = 4096
"""Receive buffer of a subscriber that is stuck."""
_SAMPLED = 10
"""One in so many has the age of each frame looked at."""


class Load:
    """All groups of sockets, each known by its name."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._epoll.register(0, select.EPOLLIN)
        self._totals: dict[str, int] = {}
        self._closed: dict[str, int] = {}
        self._sockets: dict[int, socket.socket] = {}
        self._group_of: dict[int, str] = {}
        self._expected: tuple[str, int] | None = None
        self._arrivals: list[float] = []
        self._buffer = bytearray(_READ)
        self._commands = b""
        self._watch: Watch | None = None

    def run(self) -> None:
        """Until the end of the commands."""
        self._say(port=0)
        while True:
            for fd, _ in self._epoll.poll():
                if fd:
                    self._receive(fd)
                elif not self._read_commands():
                    return
            self._check()

    def _receive(self, fd: int) -> None:
        group = self._group_of[fd]
        try:
            if self._watch is None:
                got = os.readv(fd, (self._buffer,))
                end = bytes(self._buffer[max(0, got - _PING) : got])
            else:
                data = os.read(fd, _READ)
                got, end = len(data), data[-_PING:]
                self._watch.see(fd, data)
            if end.startswith(b"\x89\x04"):  # a server closes who answers no ping
                os.write(fd, b"\x8a\x84\0\0\0\0" + end[2:])
        except ConnectionError:
            got = 0
        if not got:
            self._epoll.unregister(fd)
            self._closed[group] += 1
        self._totals[group] += got
        if self._expected is not None:
            self._arrivals.append(time.perf_counter())

    def _check(self) -> None:
        if self._expected is not None and self._totals[self._expected[0]] >= self._expected[1]:
            at, reads = time.perf_counter(), self._arrivals
            arrivals = [reads[0], reads[len(reads) // 2], reads[-1]] if reads else [at] * 3
            self._say(bytes=self._totals[self._expected[0]], at=at, arrivals=arrivals)
            self._expected = None

    def _read_commands(self) -> bool:
        data = os.read(0, _READ)
        *lines, self._commands = (self._commands + data).split(b"\n")
        for line in lines:
            self._obey(json.loads(line))
        return bool(data)

    def _obey(self, command: dict[str, Any]) -> None:
        group = command.get("group", "")
        match command["do"]:
            case "open":
                self._open(group, command)
                self._say(bytes=self._totals[group])
            case "expect":
                self._expected = (group, command["bytes"])
                self._arrivals.clear()
            case "give up":
                self._expected = None
                self._say(given_up=True)
            case "count":
                self._say(bytes=self._totals[group], closed=self._closed[group])
            case "rest":
                self._say()
                time.sleep(command["seconds"])
            case "say":
                mine = (fd for fd, its in self._group_of.items() if its == group)
                for fd, text in zip(mine, command["texts"], strict=True):
                    self._sockets[fd].sendall(_client_text(text))
                self._say()
            case "watch":
                self._watch = Watch(command["times"])
                self._say()
            case "seen":
                assert self._watch is not None
                self._say(**self._watch.result(command["seq"], command["first"]))

    def _open(self, group: str, command: dict[str, Any]) -> None:
        self._totals.setdefault(group, 0)
        self._closed.setdefault(group, 0)
        paths: list[str] = command["paths"]
        hello: str = command.get("hello", "")
        offer = _COMPRESSION if command.get("compressed", False) else ""
        for start in range(0, len(paths), _AT_ONCE):
            opened = [
                self._connect(
                    group,
                    command["port"],
                    path,
                    offer,
                    command.get("segment", 0),
                    stuck=command.get("stuck", False),
                )
                for path in paths[start : start + _AT_ONCE]
            ]
            for sock in opened:
                if paths[start]:
                    sock.setblocking(True)
                    answer = sock.recv(_READ, socket.MSG_PEEK)
                    if not answer.startswith(b"HTTP/1.1 101"):
                        raise RuntimeError(
                            f"{group}: the handshake was answered with {answer[:200]!r}"
                        )
                if hello:
                    sock.sendall(_client_text(hello))
                sock.setblocking(False)
                if not command.get("stuck", False):
                    self._epoll.register(sock.fileno(), select.EPOLLIN)

    def _connect(
        self, group: str, port: int, path: str, offer: str, segment: int, *, stuck: bool
    ) -> socket.socket:
        sock = socket.socket()
        if segment:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, segment)
        if stuck:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL)
        sock.connect(("127.0.0.1", port))
        if path:
            sock.sendall(HANDSHAKE.format(path=path, offer=offer).encode())
        self._sockets[sock.fileno()] = sock
        self._group_of[sock.fileno()] = group
        return sock

    def _say(self, **answer: Any) -> None:
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _client_text(text: str) -> bytes:
    """A text frame as a client sends it (RFC 6455, 5.2): masked, with a mask of zeros."""
    data = text.encode()
    length = bytes((0x80 | len(data),)) if len(data) < 126 else struct.pack("!BH", 0xFE, len(data))
    return bytes((0x81,)) + length + bytes(4) + data


class Watch:
    """How far behind the subscribers are.

    ``times``: a file of doubles, when each ``seq`` was published.

    Whenever one of a sample receives a change: how old is the oldest one that he had not had? All
    in seconds. Of the others only the last that they received is kept, as looking at everything
    would cost more than sending it.
    """

    def __init__(self, times: str) -> None:
        with Path(times).open("r+b") as file:
            self._times = mmap.mmap(file.fileno(), 0)
        self._received: dict[int, bytes] = {}
        self._last: dict[int, int] = {}
        self._lags: array[float] = array("d")
        self._oldest: array[int] = array("q")

    def see(self, fd: int, data: bytes) -> None:
        """Take in what a socket received."""
        if b'"seq":' not in data:
            return  # a ping
        self._received[fd] = data
        if fd % _SAMPLED:
            return
        seq, last = _seq(data), self._last.get(fd)
        if seq is None:
            return
        if last is not None and seq > last:
            (published,) = struct.unpack_from("d", self._times, 8 * (last + 1))
            self._lags.append(time.monotonic() - published)
            self._oldest.append(last + 1)
        self._last[fd] = seq

    def result(self, seq: int, first: int) -> dict[str, Any]:
        """How many are at ``seq``, and the lags of changes from ``first`` on: p50, p99, greatest.

        Frames to each.
        """
        lags = sorted(
            lag for lag, oldest in zip(self._lags, self._oldest, strict=True) if oldest >= first
        )
        return {
            "current": sum(1 for data in self._received.values() if (_seq(data) or 0) >= seq),
            "frames": len(lags) / max(1, len(self._last)),
            "p50": lags[len(lags) // 2] if lags else 0.0,
            "p99": lags[len(lags) * 99 // 100] if lags else 0.0,
            "greatest": lags[-1] if lags else 0.0,
        }


def _seq(data: bytes) -> int | None:
    """The last position in what was received; None if there is none."""
    at = data.rfind(b'"seq":')
    found = data[at + 6 : data.find(b",", at)] if at >= 0 else b""
    return int(found) if found.isdigit() else None


if __name__ == "__main__":
    Load().run()
