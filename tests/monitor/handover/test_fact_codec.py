"""What a monitor leaves to the next one, as bytes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.handover.fact_codec import decode, encode
from monitor.pbx.facts import (
    AgentRow,
    DirectoryRead,
    HandoverFact,
    QueueLoginsRead,
    QueueRow,
    SystemRow,
    UserRow,
)
from monitor.shared.codec import Malformed

USERS = (
    UserRow(1, "101", "Анна", "Ng", registered=True),
    UserRow(2, "102", queue_status="LoggedIn"),
)


DIRECTORY = DirectoryRead(
    USERS,
    (QueueRow(3, "800", "Sales", (AgentRow("101"),)),),
    (),
    (),
    (),
    (),
    (),
    SystemRow("20.0"),
    17.0,
)


LOGINS = QueueLoginsRead({"800": {"101": True}}, 18.0)


def timeless(facts: tuple[HandoverFact, ...]) -> tuple[HandoverFact, ...]:
    return tuple(replace(fact, at=0.0) for fact in facts)


def test_what_is_written_is_read_whenever_it_was_told() -> None:
    data = encode((LOGINS, DIRECTORY))
    assert decode(data) == timeless((DIRECTORY, LOGINS))
    assert encode((replace(DIRECTORY, at=99.0), LOGINS)) == data
    assert decode(encode(())) == ()


@pytest.mark.parametrize(
    "data", [b"", b"\xc1", b"\x80", encode((DIRECTORY,))[:-3], b"\x81\xa7version\x02"]
)
def test_what_is_none_of_it_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode(data)
