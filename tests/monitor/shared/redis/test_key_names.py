"""The names on Redis, as they are told to those who write rules for users of Redis."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any

from redis.crc import key_slot

from monitor.shared.entities.topics import BOOK_TOPICS, TOPICS
from monitor.shared.redis import key_names
from monitor.shared.redis.key_names import (
    PROCESSES,
    AccessKeys,
    RecordKeys,
    RequestKeys,
    SpaceKeys,
    process_key,
)

ARGUMENTS = {
    "state": ("calls",),
    "request": ("ID",),
    "result": ("ID",),
    "once": ("DIGEST",),
    "replies": ("GATEWAY",),
    "ticket": ("DIGEST",),
    "spent": ("KIND", "DIGEST"),
}


def names(pbx: str) -> list[str]:
    """All names of a PBX."""
    found = []
    for keys in (
        SpaceKeys(pbx, "live"),
        SpaceKeys(pbx, "book"),
        RequestKeys(pbx),
        RecordKeys(pbx),
        AccessKeys(pbx),
    ):
        own = {field.name for field in fields(keys)} | {"topics"}
        for name in vars(type(keys)):
            if not name.startswith("_") and name not in own:
                value: Any = getattr(keys, name)
                found.append(value if isinstance(value, str) else value(*ARGUMENTS[name]))
    return found


def test_the_modules_table_has_every_name() -> None:
    told = re.findall(r"^``(callmon:\S+?)`` ", key_names.__doc__ or "", re.MULTILINE)
    patterns = [
        re.sub(r"<\w+>", r"[^:]+", re.escape(name).replace(r"\{pbx\}", r"\{main\}"))
        for name in told
    ]
    for name in names("main"):
        assert any(re.fullmatch(pattern, name) for pattern in patterns), name
    for pattern in patterns:
        if "site" not in pattern:
            assert any(re.fullmatch(pattern, name) for name in names("main")), pattern


def test_no_two_things_have_one_name() -> None:
    live = names("main")
    shared = {SpaceKeys("main", "live").lease, SpaceKeys("main", "live").statistics}
    shared |= {SpaceKeys("main", "live").directory, SpaceKeys("main", "live").found}
    assert {name for name in live if live.count(name) > 1} == shared, "both spaces have these"
    assert not set(live) & set(names("omsk"))


def test_all_of_a_pbx_fits_in_one_transaction_of_a_cluster() -> None:
    assert len({key_slot(name.encode()) for name in names("main")}) == 1
    assert key_slot(PROCESSES.encode()) == key_slot(process_key("x").encode())


def test_each_space_has_its_own_topics() -> None:
    assert SpaceKeys("main", "live").topics is TOPICS
    assert SpaceKeys("main", "book").topics is BOOK_TOPICS
