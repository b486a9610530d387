"""The server under our protocol class speaks WebSocket as RFC 6455 has it: Autobahn's cases, driven by kosoku.

Left out are performance (9.*) and compression (12.*, 13.*), which is not offered. Our class closes with codes of its
own where a message is too large, which is beyond these cases.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
import uvicorn
import uvloop
from kosoku import FailureError, run_fuzzingclient

from gateway.wsprotocol import EXTENSION, Socket, ready_made, uvicorn_options

LEFT_OUT = ["9.*", "12.*", "13.*"]
CASES = 247
PASSED = {"OK", "NON-STRICT", "INFORMATIONAL"}
OF_THE_SERVER_ITSELF = [("7.1.5", "FAILED", "WRONG CODE")]
"""What the server does not pass without our class either."""


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Send back what comes, by the server's own way."""
    assert scope["type"] == "websocket"
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        text = event.get("text")
        await send({"type": "websocket.send", **({"text": text} if text is not None else {"bytes": event["bytes"]})})


async def echo_directly(scope: Any, receive: Any, send: Any) -> None:
    """Send back what comes as ready-made frames, as the hub does."""
    assert scope["type"] == "websocket"
    await receive()
    await send({"type": "websocket.accept"})
    line = scope["extensions"][EXTENSION]
    assert isinstance(line, Socket)
    while (event := await receive())["type"] == "websocket.receive":
        text = event.get("text")
        message = text if text is not None else event["bytes"]
        if not line.push(ready_made(message)):
            await line.writable()
            await send({"type": "websocket.send", **({"text": text} if text is not None else {"bytes": message})})


async def failures(app: Any) -> list[tuple[str, str, str]]:
    """The cases that fail, each with the verdicts on its messages and on its close."""
    listener = socket.create_server(("127.0.0.1", 0))
    options = uvicorn_options() | {"ws_max_size": 2**24}
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None, **options))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        address = f"ws://127.0.0.1:{listener.getsockname()[1]}"
        results = await run_fuzzingclient(address, exclude_cases=LEFT_OUT, concurrency=4)
    except FailureError as error:
        results = error.results
    finally:
        server.should_exit = True
        await serving
    assert len(results) == CASES
    verdicts = ((result.case_id, result.behavior.value, result.behavior_close.value) for result in results)
    return [verdict for verdict in verdicts if not (verdict[1] in PASSED and verdict[2] in PASSED)]


@pytest.mark.parametrize("app", [echo, echo_directly])
def test_autobahns_cases_pass_as_they_do_without_us(app: Any) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(failures(app)) == OF_THE_SERVER_ITSELF
