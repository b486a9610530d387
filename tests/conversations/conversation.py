"""Read the conversations of this folder, and judge what a client reports of one. See README.md."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

FOLDER = Path(__file__).parent
Step: TypeAlias = dict[str, Any]
"""One key, which says what it is, and its value."""
Report: TypeAlias = Mapping[str, Any]
LIMIT_S = 60.0
"""Seconds after which a client has not held a conversation."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A file: what is subscribed to, what the server does, and what the client then reports."""

    name: str
    about: str
    subscribe: dict[str, Any]
    server: tuple[Step, ...]
    client: tuple[dict[str, Any], ...]
    needs: str = "1.0"
    """The protocol's version: clients and gateways of an older one do not hold it."""
    gateway: dict[str, Any] | None = None
    """How a real gateway is set up to say the same; None: no gateway does what this server does."""

    @property
    def file(self) -> Path:
        return FOLDER / f"{self.name}.json"


def conversations(version: str = "") -> list[Conversation]:
    """All of them, or those that need no newer version of the protocol, in the order of names."""
    found = [read(file) for file in sorted(FOLDER.glob("*.json"))]
    return [each for each in found if not version or _number(each.needs) <= _number(version)]


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def read(file: Path) -> Conversation:
    fields = json.loads(file.read_text(encoding="utf-8"))
    return Conversation(
        file.stem,
        fields["about"],
        fields["subscribe"],
        tuple(fields["server"]),
        tuple(fields["client"]),
        fields.get("needs", "1.0"),
        fields.get("gateway"),
    )


def write(conversation: Conversation) -> None:
    """Write the file: each step and each report in a line of its own."""
    parts = [f'  "{name}": {_json(getattr(conversation, name))}' for name in ("about", "subscribe")]
    if conversation.needs != "1.0":
        parts.append(f'  "needs": {_json(conversation.needs)}')
    if conversation.gateway is not None:
        parts.append(f'  "gateway": {_json(conversation.gateway)}')
    for name in ("server", "client"):
        lines = ",\n".join(f"    {_json(each)}" for each in getattr(conversation, name))
        parts.append(f'  "{name}": [\n{lines}\n  ]')
    conversation.file.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def wrong(conversation: Conversation, reports: Iterable[Report]) -> list[str]:
    """What is wrong with the reports of a client; empty if nothing is."""
    found = list(reports)
    faults = [
        f"report {number} of {conversation.name}: {fault}"
        for number, (wanted, report) in enumerate(zip(conversation.client, found, strict=False), 1)
        for fault in _differences(wanted, report)
    ]
    if len(found) != len(conversation.client):
        faults.append(f"{conversation.name}: {len(found)} reports, not {len(conversation.client)}")
    return faults


def _differences(wanted: Report, report: Report) -> Iterable[str]:
    for name, value in wanted.items():
        given = report.get(name)
        if name == "retry_in":
            low, high = value
            right = isinstance(given, int | float) and low <= given <= high
        else:
            right = given == value
        if not right:
            yield f"{name} is {_json(given)}, not {_json(value)}"
