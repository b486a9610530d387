"""Serve rooms with other frameworks, in processes under uvicorn: each line is one broadcast.

``socketio``: python-socketio, ``emit`` to a room. ``channels``: Django Channels, ``group_send``
through its layer on Redis, which the documentation recommends. ``broadcaster``: a Starlette
endpoint with a subscription for each connection, on Redis. All as their own documentation shows it,
uvicorn's loop is uvloop. The packages are not the project's: what is not installed is left out.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib import import_module
from typing import Any, Final

import uvloop
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from tests.bench.bus_feed import FRAME
from tests.bench.peers import serve_app

SOCKETIO_PATH: Final = "/socket.io/?EIO=4&transport=websocket"
SOCKETIO_HELLO: Final = "40"
"""First text of a Socket.IO client: Engine.IO's message 4 with CONNECT to the namespace ``/``."""
_DAY: Final = 86_400
"""Seconds between Engine.IO's pings: none falls into the benchmark, as with the other peers."""
_ROOM: Final = "all"
_PATIENT: Final = f"?socket_timeout={_DAY}"
"""Query of a Redis address: both packages wait for messages as long as redis-py 8 waits."""


async def socketio() -> None:
    """The message with what Socket.IO puts around it is as long as the others' payload."""
    package: Any = import_module("socketio")
    server = package.AsyncServer(async_mode="asgi", transports=["websocket"], ping_interval=_DAY)

    async def connect(sid: str, _environ: object) -> None:
        await server.enter_room(sid, _ROOM)

    server.on("connect", connect)
    text = "x" * (FRAME - len('42["m",""]'))

    async def send() -> None:
        await server.emit("m", text, room=_ROOM)

    await serve_app(package.ASGIApp(server), send)


async def channels(url: str) -> None:
    """One consumer a connection, all in one group; the layer with the defaults of its settings."""
    settings: Any = import_module("django.conf").settings
    layer = {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": [url + _PATIENT]},
    }
    settings.configure(CHANNEL_LAYERS={"default": layer})
    import_module("django").setup()
    base: Any = import_module("channels.generic.websocket").AsyncWebsocketConsumer

    class Consumer(base):  # type: ignore[misc]  # the package has no types
        groups = (_ROOM,)

        async def note(self, event: dict[str, Any]) -> None:
            await self.send(text_data=event["text"])

    sender: Any = import_module("channels.layers").get_channel_layer()

    async def send() -> None:
        await sender.group_send(_ROOM, {"type": "note", "text": "x" * FRAME})

    await serve_app(Consumer.as_asgi(), send)


async def broadcaster(url: str) -> None:
    """As in its README: the endpoint sends what its subscription brings."""
    async with import_module("broadcaster").Broadcast(url + _PATIENT) as broadcast:

        async def endpoint(websocket: WebSocket) -> None:
            await websocket.accept()
            with suppress(WebSocketDisconnect):
                async with broadcast.subscribe(channel=_ROOM) as subscriber:
                    async for event in subscriber:
                        await websocket.send_text(event.message)

        async def send() -> None:
            await broadcast.publish(channel=_ROOM, message="x" * FRAME)

        # Held by the server too: whoever subscribes while the first is still under way may hear
        # nothing, and its
        # reader goes to sleep when it wakes before the very first is done.
        async with broadcast.subscribe(channel="wake"), broadcast.subscribe(channel=_ROOM):
            await serve_app(Starlette(routes=[WebSocketRoute("/", endpoint)]), send)


if __name__ == "__main__":
    match sys.argv[1]:
        case "socketio":
            uvloop.run(socketio())
        case "channels":
            uvloop.run(channels(sys.argv[2]))
        case "broadcaster":
            uvloop.run(broadcaster(sys.argv[2]))
