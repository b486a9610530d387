"""The prose of the AsyncAPI document: addresses, encodings, close codes."""

from __future__ import annotations

import inspect
import re
from typing import Any

from gateway.docs.asyncapi import asyncapi
from gateway.errors import all_shown
from gateway.stream import server as connection_manager
from gateway.stream import websocket
from gateway.transport import websocket_protocol
from monitor.shared.codec import from_json, to_json

DOCUMENT: dict[str, Any] = from_json(to_json(asyncapi("1.2.3")))


def test_every_encoding_stands_in_the_bindings() -> None:
    for channel in DOCUMENT["channels"].values():
        header = channel["bindings"]["ws"]["headers"]["properties"]["Sec-WebSocket-Protocol"]
        assert header["enum"] == list(connection_manager.SUBPROTOCOLS)


def test_every_close_code_that_is_sent_is_described() -> None:
    source = "".join(
        inspect.getsource(module) for module in (connection_manager, websocket, websocket_protocol)
    )
    sent = {int(code) for code in re.findall(r"\b4[0-2]\d\d\b", source)} | {
        row.close for row in all_shown().values()
    }
    documented = {int(code) for code in DOCUMENT["x-close-codes"]}
    assert sent <= documented
    for code in documented:
        assert f"| {code} |" in DOCUMENT["info"]["description"]
