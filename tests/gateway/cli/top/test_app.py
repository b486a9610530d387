"""Test ``callmon top`` with a real gateway and a simulated PBX: press keys, read the screen."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import pytest
from textual.pilot import Pilot
from textual.widgets import Static, TabbedContent

from gateway.cli.top.app import Over, Top
from gateway.cli.top.follower import TOPICS
from gateway.cli.top.table_view import SheetView
from gateway.stream_client import StreamClient
from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from tests.browser.world import CALLER, World
from tests.bus import fake_bus
from tests.gateway.cli.console import ROOT
from tests.gateway.cli.terminal import in_terminal
from tests.system.stack import KEY, monitoring

WITHIN = 60.0


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A PBX in which nothing happens unless the test does it, monitor, bus and gateway."""
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(fake_bus())
        settings = SimulatorSettings(extensions=30, queues=3, traffic=False)
        pbx = await stack.enter_async_context(SimulatedPbx(settings))
        yield await stack.enter_async_context(
            World(pbx, bus, monitoring(pbx, bus.client(), watchdog=5.0))
        )


@dataclass(frozen=True, slots=True)
class Screen:
    """What the user sees, and his hands."""

    app: Top
    pilot: Pilot[int]

    @property
    def standing(self) -> str:
        """The line of state."""
        return str(self.app.query_one("#standing", Static).visual)

    @property
    def nothing(self) -> str:
        """What is said in place of rows."""
        said = self.app.query_one(f"#{self.view.sheet.name} .nothing", Static)
        return str(said.visual) if said.display else ""

    @property
    def over(self) -> str:
        """What is open over the table."""
        return str(self.app.screen.query_one("#text", Static).visual)

    @property
    def table(self) -> list[list[str]]:
        """The table that is open, in the order in which it is drawn."""
        view = self.view
        return [
            [cell.plain.strip() for cell in view.get_row_at(place)]
            for place in range(view.row_count)
        ]

    @property
    def view(self) -> SheetView:
        """The table that is open."""
        active = self.app.query_one(TabbedContent).active
        return self.app.query_one(f"#{active}").query_one(SheetView)

    def shows(self, text: str) -> bool:
        """Whether a cell of the table contains it."""
        return any(text in cell for row in self.table for cell in row)

    async def until(self, true: Callable[[], bool]) -> None:
        """Let it draw until it is so."""
        try:
            async with asyncio.timeout(WITHIN):
                while not true():
                    await self.pilot.pause(0.05)
        except TimeoutError:
            raise AssertionError(f"{self.standing}\n{self.table}") from None


@asynccontextmanager
async def top(world: World, size: tuple[int, int] = (100, 30)) -> AsyncIterator[Screen]:
    async with StreamClient(
        world.address.replace("http", "ws", 1) + "/webapi/stream", KEY, TOPICS
    ) as client:
        await anext(aiter(client))
        app = Top(client)
        async with app.run_test(size=size) as pilot:
            yield Screen(app, pilot)


async def test_a_call_appears_ticks_changes_state_and_vanishes(world: World) -> None:
    async with top(world) as screen:
        await screen.until(
            lambda: (
                screen.nothing == "No calls now."
                and screen.standing.startswith("Live · pbx.example.com")
            )
        )
        agent = await world.agent()
        call = world.queued()
        await screen.until(lambda: screen.shows("In queue"))
        assert screen.shows(CALLER)
        first = screen.table[0][-1]
        await screen.until(lambda: screen.table[0][-1] != first)
        world.pbx.switchboard.poll(call, [agent])
        await screen.until(lambda: screen.table[0][3].startswith(agent))
        world.pbx.switchboard.answer(call, agent)
        await screen.until(lambda: screen.shows("Talking"))
        world.pbx.switchboard.end(call)
        await screen.until(lambda: screen.nothing == "No calls now.")


async def test_queues_and_agents_follow_with_their_day(world: World) -> None:
    async with top(world, (120, 40)) as screen:
        agent = await world.agent()
        await screen.pilot.press("2")
        await screen.until(lambda: bool(screen.table) and screen.table[0][0] == "800")
        call = world.queued()
        await screen.until(lambda: screen.table[0][2] == "1")
        await screen.until(lambda: screen.table[0][9] == "0/1")
        world.pbx.switchboard.poll(call, [agent])
        world.pbx.switchboard.answer(call, agent)
        await screen.until(
            lambda: screen.table[0][2] == "0" and screen.table[0][9:12] == ["1/1", "0", "100 %"]
        )
        await screen.pilot.press("3")
        await screen.until(
            lambda: any(row[0] == agent and row[2] == "● Talking" for row in screen.table)
        )


async def test_the_filter_finds_and_escape_shows_all_again(world: World) -> None:
    async with top(world) as screen:
        await screen.pilot.press("3")
        await screen.until(lambda: len(screen.table) > 3)
        everybody, number = len(screen.table), screen.table[2][0]
        await screen.pilot.press("slash", *number)
        await screen.until(
            lambda: (
                0 < len(screen.table) < everybody
                and all(any(number in cell for cell in row) for row in screen.table)
            )
        )
        await screen.pilot.press("enter")
        assert screen.view.has_focus
        await screen.pilot.press("slash", *"[/z]")
        await screen.until(lambda: screen.nothing == "Nothing contains “[/z]”.")
        await screen.pilot.press("enter", "enter")
        assert not isinstance(screen.app.screen, Over), "there is nothing to open"
        await screen.pilot.press("escape")
        await screen.until(lambda: len(screen.table) == everybody)


async def test_rows_are_sorted_and_the_cursor_stays_on_its_row(world: World) -> None:
    async with top(world) as screen:
        for last in range(4):
            world.queued(number=f"+1555000{4 - last}")
        await screen.until(lambda: len(screen.table) == 4)
        await screen.pilot.press("down", "down")
        chosen = screen.view.entity
        assert chosen == screen.table[2][0]
        await screen.pilot.press("s", "s")
        await screen.until(lambda: [row[2][-1] for row in screen.table] == ["1", "2", "3", "4"])
        assert screen.view.entity == chosen
        await screen.pilot.press("S")
        await screen.until(lambda: [row[2][-1] for row in screen.table] == ["4", "3", "2", "1"])
        assert screen.view.entity == chosen
        world.queued(number="+15550009")
        await screen.until(lambda: len(screen.table) == 5)
        assert screen.table[0][2] == "+15550009"
        assert screen.view.entity == chosen


async def test_a_pause_holds_the_picture(world: World) -> None:
    async with top(world) as screen:
        call = world.queued()
        await screen.until(lambda: screen.shows(CALLER))
        await screen.pilot.press("p")
        held = screen.table
        world.pbx.switchboard.end(call)
        await screen.until(
            lambda: re.match(r"Paused; [1-9]\d* updates wait", screen.standing) is not None
        )
        await screen.pilot.pause(1.2)
        assert screen.table == held, "timers stand still too"
        await screen.pilot.press("p")
        await screen.until(lambda: screen.nothing == "No calls now.")


async def test_enter_shows_the_legs_and_says_when_it_is_over(world: World) -> None:
    async with top(world) as screen:
        call = world.queued()
        await screen.until(lambda: screen.shows("In queue"))
        await screen.pilot.press("enter")
        await screen.until(lambda: isinstance(screen.app.screen, Over))
        await screen.until(lambda: "Waits in queue 800" in screen.over)
        world.pbx.switchboard.end(call)
        await screen.until(lambda: "It has ended." in screen.over)
        await screen.pilot.press("escape")
        assert not isinstance(screen.app.screen, Over)
        await screen.pilot.press("question_mark")
        await screen.until(lambda: "sort by the next column" in screen.over)
        await screen.pilot.press("q")
        assert not isinstance(screen.app.screen, Over)


async def test_a_tick_after_the_widgets_are_gone_draws_nothing(world: World) -> None:
    async with top(world) as screen:
        await screen.app.screen.remove_children()
        await screen.pilot.pause(1.5)  # it draws each second


async def test_what_is_wrong_is_said_and_mended_by_itself(world: World) -> None:
    async with top(world) as screen:
        world.queued()
        await screen.until(lambda: screen.shows(CALLER))
        await world.stop_gateway()
        await screen.until(lambda: "The gateway is not reached since" in screen.standing)
        assert screen.shows(CALLER), "what was known stays"
        await world.start_gateway()
        await screen.until(lambda: screen.standing.startswith("Live"))
        await world.pbx.faults.refuse()
        await screen.until(lambda: screen.standing.startswith("PBX lost since"))
        await world.pbx.faults.accept()
        await screen.until(lambda: screen.standing.startswith("Live"))
        await world.stop_monitor()
        await screen.until(
            lambda: screen.standing.startswith("Nothing is heard from the monitor since")
        )


async def test_a_key_that_ceases_to_hold_is_said(world: World) -> None:
    async with top(world) as screen:
        await screen.until(lambda: screen.standing.startswith("Live"))
        await world.stop_gateway()
        await world.start_gateway(key="another-key-00000001")
        await screen.until(lambda: screen.standing.startswith("The gateway stopped sending: "))


async def test_the_command_in_a_terminal(world: World) -> None:
    world.queued()
    code, printed = await in_terminal(
        "top", "--url", world.address, "--key", KEY, until=CALLER, then="q"
    )
    assert code == 0
    assert "Traceback" not in printed


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--url", "{address}", "--key", "wrong"), "callmon: the stream was refused: "),
        (("--url", "localhost:1"), "callmon: 'localhost:1' is not a gateway's address"),
    ],
)
async def test_a_mistake_is_a_sentence(world: World, arguments: tuple[str, ...], says: str) -> None:
    given = [argument.format(address=world.address) for argument in arguments]
    code, printed = await in_terminal("top", *given)
    assert (code, says in printed, "Traceback" in printed) == (1, True, False), printed


async def test_without_a_terminal_it_names_what_is_meant_for_pipes() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "top"),
        cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode == 1
    assert said.decode().startswith("callmon: callmon top needs a terminal; use callmon tail")
