"""Test what is said when an address cannot be listened on, and the end of listening."""

from __future__ import annotations

import asyncio
import errno
import gc
import socket
import warnings

import pytest
import uvicorn
import uvloop
from starlette.applications import Starlette

from monitor.shared.errors import StartFailed
from monitor.shared.http_server import EmbeddedServer, _reason, bind


def refusal(host: str, port: int, cannot: str) -> str:
    with pytest.raises(StartFailed) as caught:
        bind(host, port, cannot)
    return str(caught.value)


def test_a_port_in_use_is_told_as_such() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        told = refusal("127.0.0.1", port, "The gateway cannot listen on")
    assert told == (
        f"The gateway cannot listen on 127.0.0.1:{port}: another program listens there already; "
        "stop it or choose another port."
    )


@pytest.mark.parametrize(
    ("host", "port", "why"),
    [
        ("192.0.2.1", 8765, "this host has no such address"),
        ("127.0.0.1", 70_000, "a port is at most 65535"),
        ("no.such.host.invalid", 8765, "that name is not known"),
        ("a" * 70 + ".invalid", 8765, "that name is not known"),
    ],
)
def test_an_address_that_is_none_here_is_told_as_such(host: str, port: int, why: str) -> None:
    assert refusal(host, port, "X").startswith(f"X {host}:{port}: {why}")


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (PermissionError(errno.EACCES, "Permission denied"), "may not use a port below 1024"),
        (OSError(errno.EAFNOSUPPORT, "Not supported"), "no addresses of that kind"),
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files; choose another port"),
        (OSError("words only"), "choose another port or host"),
    ],
)
def test_what_else_the_system_says_is_told_with_what_to_do(error: OSError, why: str) -> None:
    assert why in _reason(error)


def test_an_ipv6_address_is_told_from_its_port() -> None:
    assert refusal("::1", 70_000, "X").startswith("X [::1]:70000: ")


def test_many_who_come_at_once_are_let_in_within_a_few_turns() -> None:
    async def turns() -> int:
        bound = bind("127.0.0.1", 0)
        server = EmbeddedServer(uvicorn.Config(Starlette(), log_config=None, lifespan="off"), bound)
        await server.start()
        clients = [socket.create_connection(bound.getsockname()) for _ in range(64)]
        taken = 0
        while len(server.server_state.connections) < len(clients):
            await asyncio.sleep(0)
            taken += 1
        for client in clients:
            client.close()
        await server.stop()
        return taken

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as the gateway runs
        assert runner.run(turns()) <= 12


async def test_who_connects_while_it_stops_is_let_go_and_nothing_is_left_open() -> None:
    bound = bind("127.0.0.1", 0)
    server = EmbeddedServer(uvicorn.Config(Starlette(), log_config=None, lifespan="off"), bound)
    await server.start()
    with socket.create_connection(bound.getsockname()) as client:
        client.setblocking(False)
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # it is accepted now, and has no transport yet
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            await server.shutdown()
            gc.collect()
        assert not [str(one.message) for one in warned]
        async with asyncio.timeout(60):
            assert await asyncio.get_running_loop().sock_recv(client, 1) == b""
    await server.stop()
