"""Test that the conversations are true: a real gateway says the same, in documented frames."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, get_args

import jsonschema
import pytest

from gateway.docs.asyncapi import asyncapi
from gateway.fanout import frames
from gateway.fanout.frames import Frame
from monitor.shared.codec import from_json, to_json
from tests.conversations import gateway
from tests.conversations.conversation import (
    FOLDER,
    Conversation,
    conversations,
    read,
    write,
)

ALL = conversations(getattr(frames, "VERSION", "1.0"))
REAL = [each for each in ALL if each.gateway is not None]
OF_THE_FUTURE = "newer_server"
DOCUMENT: dict[str, Any] = from_json(to_json(asyncapi("1.2.3")))


def names(some: list[Conversation]) -> list[str]:
    return [each.name for each in some]


@pytest.mark.parametrize("conversation", REAL, ids=names(REAL))
async def test_a_gateway_says_the_same(conversation: Conversation) -> None:
    real = await gateway.held(conversation)
    found = [
        difference
        for recorded, step in zip(conversation.server, real, strict=True)
        for difference in gateway.differences(recorded, step)
    ]
    assert found == [], f"python -m tests.conversations --record {conversation.name}"


def test_most_conversations_are_a_gateway_s() -> None:
    assert len(REAL) > len(ALL) / 2


@pytest.mark.parametrize("part", ["seq", "entity", "topic", "error"])
async def test_a_gateway_that_said_otherwise_would_be_found(part: str) -> None:
    real = await gateway.held(
        read(FOLDER / ("no_state.json" if part == "error" else "changes.json"))
    )
    false = deepcopy(real)
    step = next(step for step in false if "refuse" in step or "upsert" in step.get("send", ()))
    frame = step.get("send", {})
    match part:
        case "seq":
            frame["seq"] = 99
        case "entity":
            next(iter(frame["upsert"]["lines"].values()))["inUse"] = 7
        case "topic":
            frame["upsert"]["groups"] = {}
        case _:
            step["refuse"]["error"]["code"] = "draining"
    found = [gateway.differences(one, other) for one, other in zip(false, real, strict=True)]
    assert len([each for each in found if each]) == 1


def documented() -> dict[str, Any]:
    """The schemas of the document. Entities and `hello` may lack fields that came later."""
    components: dict[str, Any] = deepcopy(DOCUMENT["components"])
    whole = {kind.__name__ for kind in get_args(Frame)} | {"Subscribe", "Unsubscribe", "Ping"}
    for name in components["schemas"].keys() - whole | {"Hello"}:
        components["schemas"][name].pop("required", None)
    return components


@pytest.mark.parametrize("conversation", ALL, ids=names(ALL))
def test_what_is_said_is_documented(conversation: Conversation) -> None:
    components = documented()
    said = [
        (step.get("send") or step["expect"])
        for step in conversation.server
        if "send" in step or "expect" in step
    ]
    for message in said:
        payload = components["messages"][message["type"]]["payload"]
        validator = jsonschema.Draft7Validator({"components": components, "allOf": [payload]})
        assert conversation.name == OF_THE_FUTURE or validator.is_valid(message), message
        assert not validator.is_valid({**message, "type": "other"})


@pytest.mark.parametrize("conversation", ALL, ids=names(ALL))
def test_a_file_is_as_it_would_be_written(
    conversation: Conversation, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    text = conversation.file.read_bytes()
    monkeypatch.setattr("tests.conversations.conversation.FOLDER", tmp_path)
    write(conversation)
    assert conversation.file.read_bytes() == text
