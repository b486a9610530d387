"""Test entities and announcements as they stand on Redis, and JSON from clients and PBXs."""

from __future__ import annotations

import contextlib
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from monitor.shared.changes import Change, Edit, Position, epoch_name
from monitor.shared.codec import (
    Heartbeat,
    Malformed,
    check_entity,
    decode_announcement,
    decode_change,
    decode_entity,
    encode_change,
    encode_heartbeat,
    from_json,
    from_lenient_json,
    from_msgpack,
    to_json,
    to_msgpack,
)
from monitor.shared.entities.topics import Call, EndedCall
from tests.gateway import entities


@given(instant=st.text(max_size=30), id_=st.text(max_size=5))
@settings(max_examples=100)
def test_a_call_with_a_wrong_instant_or_id_is_malformed(instant: str, id_: str) -> None:
    call: Call = entities.call(1)
    check_entity("1", call)
    wrong = Call(
        **{name: getattr(call, name) for name in call.__struct_fields__} | {"started_at": instant}
    )
    with pytest.raises(Malformed):
        check_entity(id_ + "x", call)
    with pytest.raises(Malformed):
        check_entity("1", wrong)


def test_an_ended_call_stands_under_its_own_id() -> None:
    ended = EndedCall(
        1, "Inbound", "", "", entities.START, None, entities.START, "missed", "", "", "", ""
    )
    check_entity(ended.id, ended)
    with pytest.raises(Malformed):
        check_entity("1", ended)


EPOCH = epoch_name(1_800_000_000_000, None, "abc")
CHANGE = Change(
    Position(EPOCH, 7),
    entities.START,
    (
        Edit("calls", "1", None, entities.call(1, ("100",))),
        Edit("ivrs", "8", entities.ivr("8"), None),
        Edit("lines", "10000", entities.line("10000"), entities.line("10000", 3)),
    ),
    trace="t-1",
    heard=1_800_000_000.25,
)


def test_a_change_is_read_as_it_was_written() -> None:
    assert decode_announcement(encode_change(CHANGE)) == decode_change(encode_change(CHANGE))
    assert decode_change(encode_change(CHANGE)) == CHANGE


def test_a_heartbeat_is_no_change() -> None:
    heartbeat = Heartbeat(EPOCH, 7, entities.START)
    data = encode_heartbeat(heartbeat)
    assert decode_announcement(data) == heartbeat
    assert heartbeat.position == Position(EPOCH, 7)
    with pytest.raises(Malformed, match="no change"):
        decode_change(data)


def test_a_change_of_an_older_monitor_has_no_trace_and_one_of_a_newer_has_more() -> None:
    fields = from_msgpack(encode_change(CHANGE))
    assert fields[5:] == ["t-1", 1_800_000_000.25]
    assert decode_change(to_msgpack(fields[:5])) == replace(CHANGE, trace="", heard=0.0)
    assert decode_change(to_msgpack([*fields, "later"])) == CHANGE


@pytest.mark.parametrize(
    ("place", "wrong"),
    [(1, "epoch"), (1, ""), (2, -1), (2, 2**53), (3, "now"), (3, "9999-12-31T23:59:59.000Z")],
)
def test_an_announcement_without_a_place_in_history_is_malformed(place: int, wrong: object) -> None:
    for data in (encode_change(CHANGE), encode_heartbeat(Heartbeat(EPOCH, 7, entities.START))):
        fields = from_msgpack(data)
        fields[place] = wrong
        with pytest.raises(Malformed, match="announcement"):
            decode_announcement(to_msgpack(fields))


@pytest.mark.parametrize(("topic", "entity"), [("ivrs", entities.call(1)), ("nothing", CHANGE)])
def test_an_entity_of_another_topic_is_malformed(topic: str, entity: Any) -> None:
    with pytest.raises(Malformed, match=f"topic {topic}"):
        decode_entity(topic, to_msgpack(entity))


def test_json_and_msgpack_say_the_same() -> None:
    call = entities.call(1, ("100",), ("800",))
    assert from_json(to_json(call)) == from_msgpack(to_msgpack(call))
    assert from_json(to_json(call))["callID"] == 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",  # never used
        b"\xd9\xff",  # a text longer than the input
        b"\xdd\xff\xff\xff\xff",  # a list of four billion
        b"\xc7\x01\x05x",  # an extension type
        b"\xd6\xff\x00\x00\x00\x00",  # a time stamp, which is one too
        b"\x81\x90\x01",  # a list as a key
        b"\xa1\xff",  # no UTF-8
        b"\x91" * 5_000 + b"\x90",
        b"\x01\x01",
    ],
)
def test_msgpack_of_a_client_that_costs_more_than_it_weighs_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed, match="not msgpack"):
        from_msgpack(data)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[1,]", b"\xff", b'"\xff"', b"NaN", b"[" * 50_000, b"1 2"]
)
def test_what_is_no_json_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed, match="not JSON"):
        from_json(data)


# what a PBX writes, where single texts in it are broken


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (rb"Ada \ud83d\ude00", "Ada \U0001f600"),
        (rb"Ada \ud83d", "Ada \ufffd"),
        (rb"\ude00 Ada", "\ufffd Ada"),
        (rb"\ude00\ud83d", "\ufffd\ufffd"),
        (rb"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        (rb"\\ud83d", "\\ud83d"),
        (rb"\\\ud83d\n\ud83d\"", '\\\ufffd\n\ufffd"'),
        (b"M\xfcller", "M\ufffdller"),
        (b"Ada\x01Byron", "Ada\x01Byron"),
        (b"Ada\tByron", "Ada\tByron"),
    ],
)
def test_one_broken_text_costs_itself_alone(written: bytes, read: str) -> None:
    assert from_lenient_json(b'["' + written + b'", 1]') == [read, 1]


def test_a_broken_text_takes_little_more_memory_than_it_has_bytes() -> None:
    data = b'["' + rb"\ud83d" + rb"\n" * 500_000 + b'"]'
    tracemalloc.start()
    try:
        assert from_lenient_json(data) == ["\ufffd" + "\n" * 500_000]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 * len(data)


@pytest.mark.parametrize("broken", [rb"\ud83d" * 100_000, b"\xff" + b"x" * 4 * 1024 * 1024])
def test_a_text_that_is_broken_very_often_or_is_very_long_is_not_mended(broken: bytes) -> None:
    with pytest.raises(Malformed, match="not JSON"):
        from_lenient_json(b'["' + broken + b'"]')


def test_a_byte_order_mark_is_skipped() -> None:
    assert from_lenient_json(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}
    assert from_lenient_json('\ufeff{"a": 1}') == {"a": 1}


@pytest.mark.parametrize(
    "data", [b"", b"{", b"<html>", b"[1,]", b"[NaN]", b"[-Infinity]", b"[" * 100_000, b'["\\']
)
def test_what_is_no_json_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        from_lenient_json(data)


_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(_values, st.booleans())
def test_what_is_json_is_read_as_ever(value: object, ascii_only: bool) -> None:
    data = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert from_lenient_json(data) == from_json(data)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(Malformed):
        from_lenient_json(data)


def test_a_text_with_a_lone_surrogate_is_refused_or_mended() -> None:
    with pytest.raises(Malformed):
        from_json('["\ud83d"]')
    assert from_lenient_json('["\ud83d", 1]') == ["?", 1]
