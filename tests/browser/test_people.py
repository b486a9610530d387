"""The wallboard of small and large houses, with names as people have them: long ones, Russian ones, none at all."""

from __future__ import annotations

import time

import msgspec
import pytest

from monitor.model.entities import Agent, Extension, Leg, Queue, State, WaitingCaller
from monitor.model.instants import from_unix
from tests.bench.bus_feed import first_state, gateway, key, writing
from tests.browser.chromium import Page
from tests.bus import RealBus
from tests.gateway import entities

NAMES = (
    ("Александра Константиновна", "Преображенская-Воскресенская"),
    ("Wolfeschlegelsteinhausenbergerdorff", "Hubert Blaine"),
    ("Ann", ""),
    ("", ""),
    ("Юрий", "Иванов"),
)
"""First and last names, in turn."""
TV, PHONE = (1920, 1080), (390, 844)
_OVER = """[...document.querySelectorAll('.stage *, .bar *')].filter((each) => {
  const box = each.getBoundingClientRect();
  return box.width && box.height && (box.right > innerWidth + 1 || box.left < -1);
}).map((each) => each.outerHTML.slice(0, 150))"""
_CUT = """[...document.querySelectorAll('.num, .value, .counts, time, dt, [role=timer]')].filter((each) =>
  each.getClientRects().length && each.scrollWidth > each.clientWidth + 1 && each.clientWidth > 0
).map((each) => each.outerHTML.slice(0, 150))"""


def house(agents: int, at: float) -> State:
    """So many agents of two queues, a caller without a number who waits, and another with a long name."""
    state = first_state()
    numbers = [str(100 + place) for place in range(agents)]
    for place, num in enumerate(numbers):
        first, last = NAMES[place % len(NAMES)]
        made: Extension = msgspec.structs.replace(
            entities.extension(num), name=first, lastname=last, registered=True, enabled=1,
            q_global_status="LoggedIn", fwd_name="Available", available=True,
        )  # fmt: skip
        state["extensions"][num] = made
    began = from_unix(at - 4000)
    for num, name, caller, company in (
        ("800", "Бухгалтерия и расчёты с клиентами", "", ""),
        ("801", "Sales", "+493012345678", "Очень Длинное Имя Компании"),
    ):
        line = Leg("10000", "externalline", caller, "Connected", party_name=company)
        call = entities.call(int(num), queues=(num,), state="Routing")
        state["calls"][num] = msgspec.structs.replace(
            call, started_at=began, legs=(line,), owner=line, queue=num, queued_at=began, direction="FromExternal"
        )
        queue: Queue = entities.queue(num)
        state["queues"][num] = msgspec.structs.replace(
            queue, name=name, agents=tuple(Agent(each, "") for each in numbers), logged_in=tuple(numbers),
            waiting=(WaitingCaller(int(num), caller, line.party_name, began),),
        )  # fmt: skip
    return state


@pytest.mark.parametrize("agents", [5, 300])
@pytest.mark.parametrize("size", [TV, PHONE], ids=["TV", "phone"])
async def test_everybody_has_a_place_and_nothing_runs_over(
    page: Page, valkey: RealBus, agents: int, size: tuple[int, int]
) -> None:
    async with writing(valkey, house(agents, time.time())), gateway(valkey, heartbeat=1) as served:
        await page.resize(*size)
        for lang, view in (("en", "queues"), ("ru", "queues"), ("en", "agents"), ("ru", "agents"), ("ru", "calls")):
            await page.go(f"http://127.0.0.1:{served.port}/wall?view={view}&theme=dark&lang={lang}#key={key(0)}")
            what = {"queues": ".queue", "agents": ".agent", "calls": "table.calls tbody tr"}[view]
            count = {"queues": 2, "agents": agents, "calls": 2}[view]
            await page.until(f"document.querySelectorAll({what!r}).length === {count}")
            for unseen in (_OVER, _CUT):  # once it has been laid out for this screen
                await page.becomes([], unseen)
            await page.until(f"document.documentElement.scrollWidth <= {size[0]}")
        await page.shows("1:06:", "table.calls")
        assert not page.complaints


@pytest.mark.parametrize("agents", [5, 300])
async def test_in_tv_mode_too(page: Page, valkey: RealBus, agents: int) -> None:
    async with writing(valkey, house(agents, time.time())), gateway(valkey, heartbeat=1) as served:
        await page.resize(*TV)
        for lang, view in (("en", "queues"), ("ru", "queues"), ("en", "agents"), ("ru", "agents"), ("ru", "calls")):
            settings = f"kiosk=1&view={view}&theme=dark&lang={lang}"
            await page.go(f"http://127.0.0.1:{served.port}/wall?{settings}#key={key(0)}")
            await page.until("document.querySelector('.tile, table.calls tbody tr')")
            for unseen in (_OVER, _CUT):
                await page.becomes([], unseen)
            root = "document.documentElement"
            await page.becomes([*TV], f"[{root}.scrollWidth, {root}.scrollHeight]")
        assert not page.complaints
