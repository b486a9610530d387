"""Extensions, queues and lines as clients see them."""

from __future__ import annotations

import pytest

from monitor.shared.codec import (
    Malformed,
    decode_entity,
    from_json,
    from_msgpack,
    to_json,
    to_msgpack,
)
from monitor.shared.entities.topics import Extension, Talk, WaitingCaller
from tests.gateway import entities


def test_documented_fields_have_their_documented_names() -> None:
    """Names of ``ext.info.get`` and ``ext.state.get`` in the interface's document."""
    extension = from_json(to_json(entities.extension("100", ("800",))))
    assert {"vmenabled", "noanswertimeout", "fwdName", "qGlobalStatus", "qStatus"} <= set(extension)
    assert extension["qStatus"] == [{"num": "800", "status": None}]
    assert from_json(to_json(WaitingCaller(7, "1", "", entities.START)))["callID"] == 7
    assert from_json(to_json(Talk(7, "Talking", None, "1", "", True)))["callID"] == 7


def test_a_word_that_no_client_knows_is_no_state_of_an_extension() -> None:
    stored = from_msgpack(to_msgpack(entities.extension("100")))
    decode_entity("extensions", to_msgpack(stored))
    for wrong in (
        {"status": "Away"},
        {"activity": "Sleeping"},
        {"qGlobalStatus": ""},
        {"num": 100},
    ):
        with pytest.raises(Malformed):
            decode_entity("extensions", to_msgpack(stored | wrong))


def test_an_extension_of_an_older_monitor_is_read() -> None:
    """Fields that were added later have values with which nothing wrong is said."""
    stored = from_msgpack(to_msgpack(entities.extension("100")))
    later = {"queues", "groups", "extgroups", "monitored", "presenceSince"}
    older = {name: value for name, value in stored.items() if name not in later}
    found = decode_entity("extensions", to_msgpack(older))
    assert found == entities.extension("100")
    assert isinstance(found, Extension)
    assert (found.monitored, found.presence_since, found.queues) == (True, None, ())
    queue = from_msgpack(to_msgpack(entities.queue("800", ("100",))))
    del queue["slaTime"]
    assert decode_entity("queues", to_msgpack(queue)) == entities.queue("800", ("100",))
