"""Test that one id in both logs follows a command to its result, and an event to its frames."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from monitor.shared.changes import Change, Position
from monitor.shared.codec import decode_change, encode_change
from monitor.shared.command_messages import Request, decode_request
from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from tests.bus import RealBus, real_bus, until
from tests.system.processes import ROOT, Running, Site, site
from tests.system.stack import KEY, subscriber

Line = dict[str, Any]


@dataclass(slots=True)
class Logged:
    """A monitor and a gateway, each with its log as JSON at level debug."""

    place: Site
    folder: Path

    def lines(self, program: str, **fields: object) -> list[Line]:
        """What this program has logged with these fields."""
        text = (self.folder / f"{program}.log").read_text(encoding="utf-8")
        found = [
            json.loads(line)
            for line in text.splitlines()
            if line.startswith("{") and line.endswith("}")
        ]
        return [line for line in found if fields.items() <= line.items()]

    async def line(self, program: str, **fields: object) -> Line:
        """Wait for a line with these fields. Raises TimeoutError."""
        await until(lambda: bool(self.lines(program, **fields)))
        return self.lines(program, **fields)[0]

    async def start(self, *arguments: str) -> None:
        """Start ``callmon``; its log goes to a file of its own."""
        with (self.folder / f"{arguments[0]}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(
                    sys.executable,
                    "-m",
                    "gateway",
                    *arguments,
                    "--config",
                    str(self.place.settings),
                ),
                cwd=ROOT,
                stderr=log,
            )
        self.place.running.append(Running(process))


@asynccontextmanager
async def logged(bus: RealBus, folder: Path) -> AsyncIterator[Logged]:
    """Both processes, and a subscriber of the gateway."""
    simulated = SimulatorSettings(extensions=10, queues=1, contacts=0, traffic=False)
    async with SimulatedPbx(simulated) as pbx, site(pbx, bus, folder) as place:
        text = place.settings.read_text(encoding="utf-8")
        text = text.replace('level = "warning"', 'level = "debug"\nformat = "json"')
        place.settings.write_text(
            f'{text}scopes = ["read", "control", "admin"]\n', encoding="utf-8"
        )
        found = Logged(place, folder)
        await found.start("monitor")
        await found.start("gateway", "--port", str(place.port))
        async with subscriber(place.address) as held:
            await until(lambda: held.connected)
            yield found


async def test_one_id_is_found_in_both_logs_for_a_command_and_for_a_change(tmp_path: Path) -> None:
    async with (
        real_bus() as bus,
        logged(bus, tmp_path) as logs,
        httpx.AsyncClient(timeout=60) as http,
    ):

        async def order(headers: dict[str, str], **given: str) -> httpx.Response:
            return await http.post(
                f"{logs.place.address}/webapi/{KEY}/ext.fwd.set", data=given, headers=headers
            )

        done = await order({"X-Request-Id": "ticket-4711"}, num="101", status="Away")
        assert (done.status_code, done.headers["X-Request-Id"]) == (200, "ticket-4711")
        # The command: sent, carried out, answered, and the request's own line.
        assert (await logs.line("gateway", event="command_sent", trace="ticket-4711"))[
            "command"
        ] == "ext.fwd.set"
        carried_out = await logs.line("monitor", event="command", trace="ticket-4711")
        assert (carried_out["result"], carried_out["key"], carried_out["pbx"]) == (
            "success",
            "test",
            "test",
        )
        answered = await logs.line("gateway", event="command_answered", trace="ticket-4711")
        assert answered["position"] == carried_out["position"] == done.headers["Callmon-Position"]
        assert (await logs.line("gateway", event="http_request", trace="ticket-4711"))[
            "status"
        ] == 200
        # The change that it led to: heard of, published, taken in, told.
        at = carried_out["position"]
        published = await logs.line("monitor", event="change_published", position=at)
        trace = published["trace"]
        assert re.fullmatch(r"[0-9a-f]{8}", trace)
        facts = logs.lines("monitor", event="fact_received", trace=trace)
        assert sum(line["edits"] for line in facts) >= published["edits"] >= 1
        assert (await logs.line("gateway", event="change_received", trace=trace))["position"] == at
        assert (await logs.line("gateway", event="change_sent", trace=trace))["frames"] == 1

        # One that cannot stand in a log line is not taken; a failure bears its id as well.
        refused = await order({"X-Request-Id": 'a"b {x}'}, num="999", status="Away")
        made = refused.headers["X-Request-Id"]
        assert re.fullmatch(r"[0-9a-f]{16}", made)
        assert (
            (await logs.line("gateway", event="http_request", trace=made))["status"]
            == refused.status_code
            == 404
        )
        asked = await http.get(
            f"{logs.place.address}/webapi/{KEY}/pbx.calls.get", headers={"X-Request-Id": "x"}
        )
        assert "X-Request-Id" not in asked.headers


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            lambda: decode_change(
                msgspec.msgpack.encode(
                    ["change", "001772612130250-0000000a", 3, "2026-03-04T08:15:30.250Z", []]
                )
            ),
            Change(Position("001772612130250-0000000a", 3), "2026-03-04T08:15:30.250Z", ()),
        ),
        (
            lambda: decode_request(
                msgspec.msgpack.encode(["id", "gw", "makecall", {}, "key", "::1", None])
            ),
            Request("id", "gw", "makecall", {}, "key", "::1"),
        ),
    ],
    ids=["change", "request"],
)
def test_what_a_version_before_ids_has_written_is_read(
    old: Callable[[], object], new: object
) -> None:
    assert old() == new


def test_a_change_keeps_its_id_and_when_it_was_heard_of() -> None:
    change = Change(
        Position("001772612130250-0000000a", 3),
        "2026-03-04T08:15:30.250Z",
        (),
        "0123abcd",
        1_772_612_130.25,
    )
    assert decode_change(encode_change(change)) == change
