"""What a process tells of itself on Redis."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.shared.codec import Malformed, from_msgpack, to_msgpack
from monitor.shared.process_status import PbxRole, ProcessStatus, decode_process, encode_process

STATUS = ProcessStatus(
    "gateway",
    "host-1",
    4711,
    "0.2.0",
    "2026-03-04T03:15:00.000Z",
    {"main": PbxRole("serving", position="001-a/7", subscribers=3), "omsk": PbxRole("serving")},
    address="127.0.0.1:8765",
    worker=1,
)


def test_a_status_is_read_as_it_was_written() -> None:
    assert decode_process(encode_process(STATUS)) == STATUS


def test_processes_of_another_version_are_read() -> None:
    """While versions are exchanged one by one, ``callmon status`` still has to see all."""
    fields = from_msgpack(encode_process(STATUS))
    older = {name: fields[name] for name in ("program", "name", "pid", "version", "started")}
    found = decode_process(to_msgpack(older | {"pbxs": {"main": {"role": "standby"}}, "new": 1}))
    assert found.pbxs == {"main": PbxRole("standby")}
    assert (found.address, found.worker) == ("", None)


@pytest.mark.parametrize(
    "wrong",
    [{"program": "router"}, {"pid": "7"}, {"pbxs": {"main": {"role": "asleep"}}}, {"pbxs": None}],
)
def test_a_status_of_another_form_is_malformed(wrong: dict[str, object]) -> None:
    with pytest.raises(Malformed, match="not a process"):
        decode_process(to_msgpack(from_msgpack(encode_process(STATUS)) | wrong))


@given(st.binary(max_size=40) | st.binary(max_size=9).map(lambda end: b"\x81\xa4name" + end))
def test_other_bytes_are_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode_process(data)
