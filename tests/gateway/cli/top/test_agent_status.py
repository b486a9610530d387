"""What agents do, told from the stream's entities."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.cli.top.agent_status import doing
from monitor.shared.entities.topics import (
    Extension,
)
from tests.gateway import entities
from tests.gateway.cli.top.scene import plain


@pytest.mark.parametrize(
    ("more", "logged_in", "what"),
    [
        ({}, None, "free"),
        ({"activity": "Talking"}, None, "talking"),
        ({"activity": "Dialing"}, None, "talking"),
        ({"activity": "Ringing"}, None, "ringing"),
        ({"registered": False}, None, "out"),
        ({"enabled": 0}, None, "out"),
        ({"q_global_status": "LoggedOut"}, None, "out"),
        ({"q_global_status": "LoggedOut"}, True, "free"),
        ({}, False, "out"),
        ({"fwd_name": "Away", "available": False}, None, "away"),
        ({"fwd_name": "Custom 1", "available": True}, None, "free"),
    ],
)
def test_what_an_extension_does(more: dict[str, Any], logged_in: bool | None, what: str) -> None:
    fields = {"q_global_status": "LoggedIn", "fwd_name": "Available", "available": True} | more
    made: Extension = msgspec.structs.replace(
        entities.extension("101"), **{"registered": True, "enabled": 1} | fields
    )
    assert doing(plain(made), logged_in) == what
