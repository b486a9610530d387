"""Every documented command that changes something, at a 3CX v20."""

from __future__ import annotations

import pytest

from gateway.operations.operation_table import DOCUMENTED, command_named
from monitor.pbx.commands import table
from monitor.shared.errors import CommandRefused
from tests.monitor.pbx.commanding import Desk


def test_every_documented_command_is_known_or_refused_on_purpose() -> None:
    """SQL goes to the database, and logins to single queues to the web client's interface."""
    elsewhere = {"query", "ext.queue.set"}
    changing = {name for name in DOCUMENTED if command_named(name).changes}
    assert changing - elsewhere == set(table._COMMANDS)


async def test_what_a_3cx_cannot_do_is_refused_in_words(desk: Desk) -> None:
    with pytest.raises(CommandRefused, match=r"A 3CX v20 cannot do fax\.send") as caught:
        await desk.do("fax.send", num="101")
    assert (caught.value.code, caught.value.kind) == ("not_available", "conflict")


async def test_a_refusal_of_the_pbx_comes_as_one_of_ours(desk: Desk) -> None:
    with pytest.raises(CommandRefused) as caught:
        await desk.do("ext.del", num="999")
    assert caught.value.kind == "missing"
