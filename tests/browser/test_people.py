"""Test the wallboard of small and large sites, with long, Russian and missing names."""

from __future__ import annotations

import time

import msgspec
import pytest

from monitor.shared.changes import Edit
from monitor.shared.entities.statistics import RecentLevel
from monitor.shared.entities.topics import (
    Agent,
    Call,
    EndedCall,
    Extension,
    Leg,
    Queue,
    State,
    Talk,
    WaitingCaller,
)
from monitor.shared.timestamps import from_unix
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
_CUT = """[...document.querySelectorAll(
  '.num, .value, .counts, .figures, .day, time, dt, [role=timer]'
)].filter(
  (each) =>
  each.getClientRects().length && each.scrollWidth > each.clientWidth + 1 && each.clientWidth > 0
).map((each) => each.outerHTML.slice(0, 150))"""


_SPILLS = """[...document.querySelectorAll('.tile')].flatMap((tile) => {
  const box = tile.getBoundingClientRect();
  const parts = [...tile.querySelectorAll('span, b, dd, small, svg')]
    .filter((each) => each.getClientRects().length);
  const out = parts.map((each) => [each, each.getBoundingClientRect()])
    .filter(([each, { right, bottom }]) => !each.closest('.name, .hidden, .other')
      && (right > box.right - 2 || bottom > box.bottom + 1));
  const counts = [...tile.querySelectorAll('.counts li')]
    .map((each) => each.getBoundingClientRect());
  const over = counts.filter((each, place) => place && each.left < counts[place - 1].right - 0.5);
  return [
    ...out.map(([each]) => each.outerHTML.slice(0, 150)),
    ...over.map(() => `counts of ${tile.dataset.item}`),
  ];
})"""
"""Elements that a tile's edge cuts off, or that cover their neighbour."""
_DAY = "[...document.querySelectorAll('.day :is(dt, small)')]"
_CLIPPED = """(() => {
  const found = [];
  const texts = document.createTreeWalker(document.querySelector('.wall'), NodeFilter.SHOW_TEXT);
  for (let text = texts.nextNode(); text; text = texts.nextNode()) {
    const inside = text.parentElement;
    if (!text.data.trim() || inside.closest('.hidden, .name, .other, .alarms, .target')) continue;
    const range = document.createRange();
    range.selectNodeContents(text);
    const { left, right, top, bottom } = range.getBoundingClientRect();
    for (let box = inside; box && right > left; box = box.parentElement) {
      if (/visible|auto/.test(getComputedStyle(box).overflow)) continue;
      const held = box.getBoundingClientRect();
      const half = (bottom - top) / 4;
      if (left < held.left - 1 || right > held.right + 1 || top < held.top - half
        || bottom > held.bottom + half) found.push(`${text.data} in ${box.className}`);
    }
  }
  return found;
})()"""
"""Texts that stick out of a container that cuts them off, other than names."""
_CLOCKS = """new MutationObserver(() => {
  const text = document.querySelector('.clock')?.innerText;
  if (text) (window.clocks ??= []).push(text);
}).observe(document, { subtree: true, childList: true, characterData: true })"""
"""Keep all that the page's clock has shown."""
_MOVES = """(() => {
  const number = document.querySelector('.kpi .value span');
  const second = document.querySelectorAll('.kpi')[1];
  const [ten, nine] = ["10", "9"].map((text) => {
    number.textContent = text;
    return second.getBoundingClientRect().left;
  });
  return ten - nine;
})()"""
"""How far the strip's second number moves when the first gets shorter."""


def house(agents: int, at: float) -> State:
    """Return agents of two queues and two waiting callers: nameless, and long-named."""
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
            call,
            started_at=began,
            legs=(line,),
            owner=line,
            queue=num,
            queued_at=began,
            direction="FromExternal",
        )
        queue: Queue = entities.queue(num)
        state["queues"][num] = msgspec.structs.replace(
            queue, name=name, agents=tuple(Agent(each, "") for each in numbers),
            logged_in=tuple(numbers),
            waiting=(WaitingCaller(int(num), caller, line.party_name, began),),
        )  # fmt: skip
    return state


def busy_queues(count: int, at: float, offered: tuple[int, int] = (1290, 129)) -> State:
    """Return queues at their worst: 65 agents, at most 18 free, a dozen callers, a long day.

    The first caller has waited for over an hour.
    """
    state = house(65, at)
    numbers = list(state["extensions"])
    for place, num in enumerate(numbers):
        extension = state["extensions"][num]
        activity = ("Idle", "Ringing", "Talking", "Talking")[place % 4]
        state["extensions"][num] = msgspec.structs.replace(
            extension,
            activity=activity,
            registered=place % 5 > 0,
            queues=tuple(str(800 + n) for n in range(count)),
            fwd_name="Away" if place % 7 == 0 else "Available",
            available=place % 7 > 0,
        )
    for place in range(count):
        num = str(800 + place)
        agents = numbers[1:4] if place % 3 == 0 else numbers
        queue: Queue = entities.queue(num)
        state["queues"][num] = msgspec.structs.replace(
            queue, name=("Бухгалтерия и расчёты", "Complaints")[place % 2],
            agents=tuple(Agent(each, "") for each in agents),
            logged_in=tuple(agents), waiting=tuple(
                WaitingCaller(
                    1000 * place + caller, "+493012345678", "Максим",
                    from_unix(at - (754 if caller else 4754) + caller),
                )
                for caller in range(12)
            ),
        )  # fmt: skip
        stats = entities.queue_stats(num, offered=offered[place % 2])
        figures = msgspec.structs.replace(
            stats,
            answered=stats.offered - 20,
            service_level=(100.0, 59.4)[place % 2],
            last_hour=RecentLevel(20, 11, 55.0) if place % 2 else stats.last_hour,
        )
        state["queuestats"][num] = figures
    return state


def talks(count: int, name: str, began: float) -> dict[str, Call]:
    """Return calls from outside to the phone of somebody of this name."""
    caller = Leg("10000", "externalline", "+493023125895", "Connected", party_name="Anna Tkachenko")
    phone = Leg("101", "extension", "", "Connected", name=name)
    calls = (entities.call(1000 + place, ("101",)) for place in range(count))
    return {
        str(call.call_id): msgspec.structs.replace(
            call, state="Talking", started_at=from_unix(began), owner=caller, legs=(caller, phone)
        )
        for call in calls
    }


def missed(place: int, at: float) -> EndedCall:
    """Return a call that nobody took: missed, or given up in a queue or in a menu."""
    call = entities.ended(place, queues=("801",) if place % 3 else ())
    return msgspec.structs.replace(
        call,
        outcome=("missed", "abandoned")[place % 2],
        caller=f"+4930231258{place:02}",
        caller_name=("Anna Tkachenko", "Dmytro Tkachenko")[place % 5 == 0],
        started_at=from_unix(at - 2),
        ended_at=from_unix(at - 1),
    )


@pytest.mark.parametrize(("offered", "lang"), [((1290, 129), "ru"), ((144, 53), "es")])
async def test_tiles_of_busy_queues_spill_nothing_however_many_there_are(
    page: Page, valkey: RealBus, offered: tuple[int, int], lang: str
) -> None:
    async with (
        writing(valkey, busy_queues(14, time.time(), offered)),
        gateway(valkey, heartbeat=1) as served,
    ):
        for count, mode, size in (
            (1, "kiosk=1", TV),
            (4, "kiosk=1", TV),
            (8, "kiosk=1", TV),
            (14, "kiosk=1", TV),
            (4, "", TV),
            (14, "", TV),
            (5, "", (1366, 768)),
            (6, "", (1366, 768)),
            (14, "", (844, 390)),
        ):
            await page.resize(*size)
            shown = ",".join(str(800 + place) for place in range(count))
            settings = f"{mode}&view=queues&theme=dark&lang={lang}&queues={shown}"
            await page.go(f"http://127.0.0.1:{served.port}/wall?{settings}#key={key(0)}")
            least = 4 if mode else count
            await page.until(f"document.querySelectorAll('.queue').length >= {min(count, least)}")
            for unseen in (_SPILLS, _CUT, _CLIPPED):
                await page.becomes([], unseen)
            small = f"{_DAY}.map((each) => parseFloat(getComputedStyle(each).fontSize))"
            less = f"{small}.filter((pixels) => pixels < {24 if mode else 11})"
            await page.until(f"{_SMALLEST} >= {32 if mode else 11}")
            await page.becomes([], less)
            cut = "(each) => each.innerText === 'Complaints' && each.scrollWidth > each.clientWidth"
            await page.becomes(0, f"[...document.querySelectorAll('h2')].filter({cut}).length")
            assert await page.run(_MOVES) == 0
        assert not page.complaints


def full_day(at: float) -> State:
    """Return one queue with 38 callers, the first for 12:45, and a day of three digits."""
    state = house(12, at)
    del state["queues"]["801"], state["calls"]["801"]
    queue = state["queues"]["800"]
    waiting = tuple(
        WaitingCaller(caller, "+493012345678", "Максим", from_unix(at - 765 + caller))
        for caller in range(38)
    )
    state["queues"]["800"] = msgspec.structs.replace(queue, waiting=waiting)
    stats = entities.queue_stats("800", offered=962)
    state["queuestats"]["800"] = msgspec.structs.replace(
        stats, answered=847, abandoned=115, service_level=100.0
    )
    return state


@pytest.mark.parametrize("mode", ["kiosk=1", ""], ids=["TV mode", "desk"])
async def test_a_day_of_three_digits_is_read_whole_on_every_screen(
    page: Page, valkey: RealBus, mode: str
) -> None:
    async with writing(valkey, full_day(time.time())), gateway(valkey, heartbeat=1) as served:
        for size in (TV, (3840, 2160), (1366, 768), (1080, 1920), (820, 1180), (844, 390)):
            await page.resize(*size)
            others = ("de", "fr", "es", "pl") if mode and size == TV else ()
            for lang in ("en", "ru", *others):
                settings = f"{mode}&view=queues&theme=dark&lang={lang}"
                await page.go(f"http://127.0.0.1:{served.port}/wall?{settings}#key={key(0)}")
                strip = "document.querySelector('.strip')?.innerText ?? ''"
                await page.until(
                    f"['38', '847', '962', '115', '100'].every((each) => ({strip}).includes(each))"
                )
                await page.until("document.fonts.status === 'loaded'")
                await page.becomes([], _CLIPPED)
                await page.until(f"{_SHARE} > 0.13")
                await page.becomes([], _QUEUES_CUT)
        assert not page.complaints


_QUEUES_CUT = """[...document.querySelectorAll('.queue h2')].filter((each) =>
  each.scrollWidth > each.clientWidth + 1 || each.scrollHeight > each.clientHeight + 3
).map((each) => each.innerText)"""


_SHARE = """(() => {
  const [tile, figures] = ['.queue', '.queue .figures'].map((one) => document.querySelector(one));
  const { width, height } = tile.getBoundingClientRect();
  const font = parseFloat(getComputedStyle(figures).fontSize) * figures.currentCSSZoom;
  return font / Math.min(width, height);
})()"""
"""The size of a lone queue's numbers, of its tile's shorter side."""
_SMALLEST = """Math.min(...[...document.querySelectorAll(
  `.kpi .label, .figure .label, .callers li, .agent :is(.name, .word, .num, .timer),
  .rows :is(th, td, .word), .counts b, .line footer *`
)].filter((each) => each.getClientRects().length).map(
  (each) => parseFloat(getComputedStyle(each).fontSize) * each.currentCSSZoom
))"""
"""Pixels of the smallest of the texts that are to be read from the room."""


@pytest.mark.parametrize("size", [TV, (1080, 1920)], ids=["landscape", "portrait"])
async def test_on_a_tv_everything_can_be_read_from_the_room_and_few_tiles_fill_it(
    page: Page, valkey: RealBus, size: tuple[int, int]
) -> None:
    at = time.time()
    state = house(5, at)
    for place, num in enumerate(("10000", "10001", "10002", "10003")):
        state["lines"][num] = msgspec.structs.replace(
            entities.line(num, 7), capacity=100, external_number="+493012345678"
        )
        state["ended"][num] = missed(place, at)
    for num, like in (("802", "800"), ("803", "801"), ("800", "800"), ("801", "801")):
        queue = state["queues"][like]
        assert isinstance(queue, Queue)
        caller = msgspec.structs.replace(queue.waiting[0], since=from_unix(at - 765))
        state["queues"][num] = msgspec.structs.replace(queue, num=num, waiting=(caller,))
    for num in ("802", "803"):
        stats = entities.queue_stats(num, offered=129)
        state["queuestats"][num] = msgspec.structs.replace(stats, answered=117)
    async with writing(valkey, state), gateway(valkey, heartbeat=1) as served:
        await page.resize(*size)
        for lang in ("en", "ru"):
            wall = f"http://127.0.0.1:{served.port}/wall?kiosk=1&page=600&theme=dark&lang={lang}"
            for queues, keys in ((2, "1"), (4, "12345")):
                named = ",".join(f"{800 + place}" for place in range(queues))
                await page.go(f"{wall}{f'&queues={named}' if queues == 2 else ''}#key={key(0)}")
                for pressed in keys:
                    view = ("queues", "agents", "calls", "missed", "lines")[int(pressed) - 1]
                    await page.until("document.querySelector('.fresh.live')")
                    await page.press(pressed)
                    count = {"queues": queues, "agents": 5, "calls": 2}.get(view, 4)
                    tiles = f"document.querySelectorAll('.tiles.{view} > .tile')"
                    await page.becomes(count, f"{tiles}.length")
                    await page.until(f"{_SMALLEST} >= 32")
                    await page.becomes([], _CLIPPED)
                    zoom = "document.querySelector('.tile').currentCSSZoom"
                    many = view == "lines" or (view, queues) == ("queues", 4)
                    least = 1 if many else 1.75 if view == "agents" else 1.25
                    await page.until(f"{zoom} >= {least} && {_FILLED} > 0.65")
                    if view == "queues":
                        await page.shows("Free" if lang == "en" else "Свободны", ".legend")
                    if view == "calls":
                        await page.shows("In queue" if lang == "en" else "В очереди", ".tiles")
        assert not page.complaints


_FILLED = """(() => {
  const tiles = [...document.querySelectorAll('.tile')];
  const boxes = tiles.map((one) => one.getBoundingClientRect());
  const used = boxes.reduce((sum, box) => sum + box.width * box.height, 0);
  const { width, height, bottom } = document.querySelector('.tiles').getBoundingClientRect();
  const lowest = Math.max(...boxes.map((box) => box.bottom));
  return lowest < bottom - 2 ? 0 : used / (width * height);
})()"""
"""The part of a view that its tiles take."""


async def test_few_tiles_fill_a_desk_too(page: Page, valkey: RealBus) -> None:
    at = time.time()
    state = house(5, at)
    for num in ("10000", "10001", "10002"):
        state["lines"][num] = entities.line(num, 7)
    for place in range(2, 5):
        queue = state["queues"]["800"]
        state["queues"][str(800 + place)] = msgspec.structs.replace(
            queue, num=str(800 + place), waiting=()
        )
    zoom = "document.querySelector('.tile').currentCSSZoom"
    async with writing(valkey, state), gateway(valkey, heartbeat=1) as served:
        for size, few, fewer in (
            (TV, 1.75, 3.25),
            ((1366, 768), 1.5, 2.5),
            ((820, 1180), 1.75, 3.5),
            ((844, 390), 1.25, 1.125),
        ):
            await page.resize(*size)
            for view, count, least in (
                ("agents", 5, few),  # one of them has a very long name, which is whole
                ("agents&ext=102,103,104", 3, fewer),
                ("lines", 3, 1),
                ("queues", 5, 1),
            ):
                wall = f"http://127.0.0.1:{served.port}/wall?theme=dark&lang=en&view={view}"
                await page.go(f"{wall}#key={key(0)}")
                await page.becomes(count, "document.querySelectorAll('.tile').length")
                await page.until("document.fonts.status === 'loaded'")
                await page.becomes([], _CLIPPED)
                await page.until(f"{zoom} >= {least}")
                if size != (844, 390):
                    await page.becomes([], _QUEUES_CUT if view == "queues" else _NAMES_CUT)
                if (view, size) != ("queues", (844, 390)):  # it scrolls there
                    await page.until(f"{_FILLED} > 0.85")
        assert not page.complaints


_NAMES_CUT = """[...document.querySelectorAll(
 ':is(.rows, .tiles) :is(.name, .word, .num), .rows th'
)].filter(
 (each) => each.getClientRects().length && each.scrollWidth > each.clientWidth + 1
).map((each) => each.innerText).filter(Boolean)"""

_WORD_HEIGHTS = "[...document.querySelectorAll('.missed .word')].map((one) => one.offsetHeight)"


@pytest.mark.parametrize("size", [TV, (1080, 1920)], ids=["landscape", "portrait"])
@pytest.mark.parametrize(
    "langs",
    [
        pytest.param(("de", "ru", "fr"), id="de-ru-fr"),
        pytest.param(("en", "es", "pl"), id="en-es-pl", marks=pytest.mark.soak),
    ],
)
async def test_a_tv_shows_whole_names_and_numbers_of_many_in_a_table_and_of_few_in_tiles(
    page: Page, valkey: RealBus, size: tuple[int, int], langs: tuple[str, ...]
) -> None:
    at = time.time()
    state = house(3, at)
    state["calls"] |= talks(40, "Thomas Schneider", at - 9000)  # before those who wait
    state["ended"] |= {f"{place}": missed(place, at) for place in range(40)}
    async with writing(valkey, state), gateway(valkey, heartbeat=1) as served:
        await page.resize(*size)
        many = 8 if size == TV else 15
        for view, lang, find, rows in (
            *(("missed", lang, "", many) for lang in langs),
            *(("missed", lang, "Dmytro", 8) for lang in langs[:2]),
            ("calls", langs[0], "", many),
        ):
            settings = f"kiosk=1&view={view}&theme=dark&lang={lang}&find={find}"
            await page.go(f"http://127.0.0.1:{served.port}/wall?{settings}#key={key(0)}")
            kind = ".tiles > article" if find else " tbody tr"
            await page.becomes(rows, f"document.querySelectorAll('.{view}{kind}').length")
            await page.until("document.fonts.status === 'loaded'")
            await page.becomes([], _NAMES_CUT)
            await page.becomes([], _CLIPPED)
            await page.until(f"{_SMALLEST} >= 32")
            if view == "calls":
                first = "document.querySelector('.calls tbody tr .state')"
                await page.until(f"{first}.classList.contains('waiting')")
        await page.resize(1366, 768)
        for lang in langs[:2]:
            settings = f"view=missed&theme=dark&lang={lang}"
            await page.go(f"http://127.0.0.1:{served.port}/wall?{settings}#key={key(0)}")
            await page.becomes(1, f"new Set({_WORD_HEIGHTS}).size")
        assert not page.complaints


async def test_a_phone_shows_a_long_name_beside_a_long_number_in_rows_of_one_height(
    page: Page, valkey: RealBus
) -> None:
    at = time.time()
    state = house(3, at)
    names = ("Alexandra Featherstonehaugh", "Александра Преображенская", "", "Ann Lee")
    for place, name in enumerate(names):
        call = msgspec.structs.replace(missed(place, at), caller_name=name)
        state["ended"][str(place)] = call
        again = msgspec.structs.replace(call, call_id=90 + place, caller=f"+4930231259{place:02}")
        state["ended"][str(90 + place)] = again
        state["ended"][str(80 + place)] = msgspec.structs.replace(again, call_id=80 + place)
        for num, talk in talks(1, name, at).items():
            legs = tuple(msgspec.structs.replace(leg, party_name=name) for leg in talk.legs)
            talk = msgspec.structs.replace(talk, call_id=2000 + place, legs=legs, owner=legs[0])
            state["calls"][f"{num}{place}"] = talk
    heights = (
        "new Set([...document.querySelectorAll('tbody tr')].map((one) => one.offsetHeight)).size"
    )
    async with writing(valkey, state), gateway(valkey, heartbeat=1) as served:
        for size in (PHONE, (360, 740)):
            await page.resize(*size)
            for view in ("missed", "calls"):
                settings = f"view={view}&theme=dark&lang=de"
                await page.go(f"http://127.0.0.1:{served.port}/wall?{settings}#key={key(0)}")
                await page.until("document.querySelectorAll('tbody tr').length >= 4")
                await page.until("document.fonts.status === 'loaded'")
                await page.becomes([], _NAMES_CUT.replace(":is(.rows, .tiles)", ":is(.from, .now)"))
                await page.becomes(1, heights)
        assert not page.complaints


async def test_a_phones_rows_are_no_higher_than_their_longest_needs(
    page: Page, valkey: RealBus
) -> None:
    at = time.time()
    state = house(3, at)
    for place, name in enumerate(("+493023125800", "Ann Lee", "")):  # some PBXs repeat the number
        call = msgspec.structs.replace(missed(place, at), caller="+493023125800", caller_name=name)
        state["ended"][str(place)] = msgspec.structs.replace(call, hidden=False)
    height = "document.querySelector('tbody tr').offsetHeight"
    async with writing(valkey, state) as writer, gateway(valkey, heartbeat=1) as served:
        await page.resize(*PHONE)
        await page.go(f"http://127.0.0.1:{served.port}/wall?view=missed&lang=de#key={key(0)}")
        await page.until("document.querySelectorAll('tbody tr').length === 1")
        low = await page.run(height)
        long = msgspec.structs.replace(
            missed(7, at), caller_name="КОНСТАНТИН ВОСКРЕСЕНСКИЙ", call_id=7
        )
        await writer.publish([Edit("ended", "7", None, long)])
        await page.until("document.querySelectorAll('tbody tr').length === 2")
        await page.until(f"{height} > {low} + 15")
        await page.becomes([], _NAMES_CUT)
        assert not page.complaints


async def test_the_row_in_focus_is_never_under_the_heads_or_the_totals(
    page: Page, valkey: RealBus
) -> None:
    at = time.time()
    state = house(3, at)
    state["calls"] |= talks(40, "Thomas Schneider", at - 400)
    covered = """(() => {
      const box = (each) => each.getBoundingClientRect();
      const row = box(document.activeElement.closest('tr'));
      return row.top < box(document.querySelector('thead')).bottom - 1
        || row.bottom > box(document.querySelector('.totals')).top + 1;
    })()"""
    async with writing(valkey, state), gateway(valkey, heartbeat=1) as served:
        await page.resize(1366, 768)
        await page.go(f"http://127.0.0.1:{served.port}/wall?view=calls&lang=de#key={key(0)}")
        await page.until("document.querySelectorAll('tbody tr').length > 20")
        for arrow in ("ArrowDown", "ArrowUp"):
            for step in range(24):
                await page.press(arrow)
                assert not await page.run(covered), f"{arrow} {step}"
        assert not page.complaints


async def test_rows_that_leave_room_on_a_tv_are_higher_and_long_names_take_it(
    page: Page, valkey: RealBus
) -> None:
    at = time.time()
    state = house(3, at)
    state["calls"] = dict(talks(12, "Александра Преображенская", at - 400))
    async with writing(valkey, state), gateway(valkey, heartbeat=1) as served:
        await page.resize(1080, 1920)
        settings = "kiosk=1&view=calls&theme=dark&lang=en"
        await page.go(f"http://127.0.0.1:{served.port}/wall?{settings}#key={key(0)}")
        await page.becomes(12, "document.querySelectorAll('.calls tbody tr').length")
        await page.until("document.fonts.status === 'loaded'")
        await page.becomes([], _NAMES_CUT)
        await page.becomes([], _CLIPPED)
        table, stage = (
            f"document.querySelector('{each}').getBoundingClientRect().height"
            for each in ("table", ".stage")
        )
        await page.until(f"{table} > 0.85 * {stage} && {table} < {stage}")


async def test_of_300_agents_a_tv_shows_the_urgent_ones_first_on_few_pages(
    page: Page, valkey: RealBus
) -> None:
    state = house(300, time.time())
    for num, activity in (("399", "Ringing"), ("398", "Talking")):
        state["extensions"][num] = msgspec.structs.replace(
            state["extensions"][num], activity=activity
        )
    state["extensions"]["100"] = msgspec.structs.replace(
        state["extensions"]["100"], registered=False
    )
    hidden = Talk(1, "Talking", None, "", "", external=True)
    state["extensions"]["398"] = msgspec.structs.replace(
        state["extensions"]["398"], talks=(hidden,)
    )
    inside = Talk(
        2, "Dialing", None, "1001", "", external=False
    )  # its sign takes the room of its number
    state["extensions"]["397"] = msgspec.structs.replace(
        state["extensions"]["397"], activity="Dialing", talks=(inside,)
    )
    async with writing(valkey, state), gateway(valkey, heartbeat=1) as served:
        await page.resize(*TV)
        wall = f"http://127.0.0.1:{served.port}/wall?kiosk=1&view=agents&lang=en"
        await page.go(f"{wall}#key={key(0)}")
        nums = "[...document.querySelectorAll('.agent .num')].map((each) => each.innerText)"
        await page.becomes(["399", "397", "398", "101"], f"{nums}.slice(0, 4)")
        await page.becomes(4, "document.querySelectorAll('.dots i').length")
        shown = await page.count(".agent")
        await page.shows(f"{300 - 4 * shown} more", "footer")
        await page.until(f"{_SMALLEST} >= 32")
        await page.resize(
            820, 1180
        )  # at a desk that cannot show all, one scrolls and can read them
        await page.go(f"{wall.replace('kiosk=1&', '')}#key={key(0)}")
        await page.becomes(300, "document.querySelectorAll('.agent.lines2').length")
        await page.until("document.querySelector('[data-item=\"agent:398\"] .word')")
        words = "[...document.querySelectorAll('.agent .other')].map((each) => each.innerText)"
        await page.becomes([], words)  # “Number withheld” has no room, and is not cut
        await page.until("document.querySelector('[data-item=\"agent:397\"] .internal')")
        await page.resize(1366, 768)
        named = ",".join(str(100 + place) for place in range(130))
        await page.go(f"{wall.replace('kiosk=1&', f'ext={named}&')}#key={key(0)}")
        await page.becomes(130, "document.querySelectorAll('.agent.lines2').length")


async def test_on_a_tv_a_tile_says_whole_with_whom_somebody_talks(
    page: Page, valkey: RealBus
) -> None:
    state = house(28, time.time())
    names = ("Alexandra Featherstonehaugh", "Ann Lee")
    for place, num in enumerate(state["extensions"]):
        talk = Talk(place, "Talking", None, "84951975701", names[place % 2], external=True)
        state["extensions"][num] = msgspec.structs.replace(
            state["extensions"][num], activity="Talking", talks=(talk,)
        )
    others = "[...document.querySelectorAll('.agent .other')]"
    async with writing(valkey, state), gateway(valkey, heartbeat=1) as served:
        for size in (TV, (1080, 1920)):
            await page.resize(*size)
            settings = "kiosk=1&view=agents&lang=en&page=600"
            await page.go(f"http://127.0.0.1:{served.port}/wall?{settings}#key={key(0)}")
            await page.until("document.fonts.status === 'loaded'")
            await page.until(f"{others}.length > 8")
            said = f"[...new Set({others}.map((each) => each.innerText))].sort()"
            await page.becomes(["84951975701", "84951975701 Ann Lee"], said)
            await page.becomes(
                0, f"{others}.filter((each) => each.scrollWidth > each.clientWidth).length"
            )
        assert not page.complaints


@pytest.mark.parametrize("late", [19, 8])
async def test_a_tile_is_coloured_by_what_is_so_now_and_not_by_the_morning(
    page: Page, valkey: RealBus, late: int
) -> None:
    state = full_day(time.time())
    for topic, changes in (
        ("queues", {"waiting": ()}),
        ("queuestats", {"service_level": 40.0, "last_hour": RecentLevel(20, late, 5.0 * late)}),
    ):
        state[topic]["800"] = msgspec.structs.replace(state[topic]["800"], **changes)
    async with writing(valkey, state), gateway(valkey, heartbeat=1) as served:
        await page.resize(*TV)
        wall = f"http://127.0.0.1:{served.port}/wall?theme=dark&lang=en"
        await page.go(f"{wall}&view=queues#key={key(0)}")
        await page.shows("40", ".queue .day .level2 dd")
        assert await page.count(".queue.level0") == 1
        hour = f".queue .day .level{0 if late == 19 else 2}:last-child dd"
        assert await page.text(hour) == f"{5 * late}\xa0%"
        await page.press("2")
        await page.until("document.querySelectorAll('.agent').length === 12")
        if late == 19:
            assert not await page.count(".alarms"), "the day's level is known for hours"
        else:
            await page.shows("SL 40\xa0%", ".alarms")


@pytest.mark.parametrize(
    ("size", "agents"),
    [
        pytest.param(TV, 300, id="TV-300"),
        pytest.param(PHONE, 5, id="phone-5"),
        pytest.param(TV, 5, id="TV-5", marks=pytest.mark.soak),
        pytest.param(PHONE, 300, id="phone-300", marks=pytest.mark.soak),
    ],
)
async def test_everybody_has_a_place_and_nothing_runs_over(
    page: Page, valkey: RealBus, agents: int, size: tuple[int, int]
) -> None:
    async with writing(valkey, house(agents, time.time())), gateway(valkey, heartbeat=1) as served:
        await page.resize(*size)
        for lang, view in (
            ("en", "queues"),
            ("ru", "queues"),
            ("en", "agents"),
            ("ru", "agents"),
            ("ru", "calls"),
        ):
            await page.go(
                f"http://127.0.0.1:{served.port}/wall?view={view}&theme=dark&lang={lang}#key={key(0)}"
            )
            what = {"queues": ".queue", "agents": ".agent", "calls": "table.calls tbody tr"}[view]
            count = {"queues": 2, "agents": agents, "calls": 2}[view]
            await page.until(f"document.querySelectorAll({what!r}).length === {count}")
            for unseen in (_OVER, _CUT):  # once it has been laid out for this screen
                await page.becomes([], unseen)
            await page.until(f"document.documentElement.scrollWidth <= {size[0]}")
        # An hour and 6 minutes when it began: on a busy machine some more have gone by.
        await page.until(r"/\b1:\d\d:\d\d/.test(document.querySelector('table.calls').innerText)")
        assert not page.complaints


async def test_who_is_named_is_shown_and_no_alarm_of_queues_that_are_not(
    page: Page, valkey: RealBus
) -> None:
    state = house(4, time.time())
    extension: Extension = entities.extension("150", extgroups=("Desk",))
    state["extensions"]["150"] = msgspec.structs.replace(extension, name="Rezeption")
    async with writing(valkey, state), gateway(valkey, heartbeat=1) as served:
        wall = f"http://127.0.0.1:{served.port}/wall?theme=dark&lang=en"
        for settings, shown, alarms in (
            ("view=agents", ["100", "101", "102", "103"], 1),
            ("view=agents&ext=101,150", ["101", "150"], 1),
            ("view=agents&extgroups=Desk", ["150"], 0),
            ("view=everybody", ["100", "101", "102", "103", "150"], 1),
            ("view=everybody&ext=150", ["150"], 0),
            ("view=everybody&kiosk=1&find=Rezeption", ["150"], 0),
        ):
            await page.go("about:blank")
            await page.go(f"{wall}&{settings}#key={key(0)}")
            nums = "[...document.querySelectorAll('.agent .num')].map((each) => each.innerText)"
            await page.becomes(shown, nums)
            await page.becomes(alarms, "document.querySelectorAll('.alarms').length")
        assert not page.complaints


async def test_a_warning_of_the_licence_is_no_alarm_and_the_chip_lists_what_is_bad(
    page: Page, valkey: RealBus
) -> None:
    state = full_day(time.time())
    system = state["system"]["pbx"]
    pbx = msgspec.structs.replace(entities.pbx_stats(), active=85)
    state["pbxstats"]["pbx"] = pbx
    state["system"]["pbx"] = msgspec.structs.replace(system, licence_limit=100)
    async with writing(valkey, state), gateway(valkey, heartbeat=1) as served:
        await page.resize(1366, 768)
        wall = f"http://127.0.0.1:{served.port}/wall?theme=dark&lang=en"
        await page.go(f"{wall}&view=queues#key={key(0)}")
        await page.shows("85 of 100 calls of the licence", ".alarms.level1")
        await page.shows("SL today, target 80 %", ".strip")
        await page.shows("Answered, queues", ".strip")
        await page.press("5")
        await page.shows("Answered today, all", ".strip")
        await page.shows("38 waiting", ".alarms.level2")
        await page.becomes("▲ 2 · Lines · callmon", "document.title")
        chip = "document.querySelector('.alarms span')"
        await page.until(f"{chip}.scrollWidth <= {chip}.clientWidth")
        await page.until("document.querySelector('#find').offsetWidth >= 160")
        await page.run("document.querySelector('button.alarms').click()")
        await page.becomes(2, "document.querySelectorAll('dialog[open] .list .level2').length")
        await page.resize(*PHONE)
        beyond = "(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)"
        await page.becomes(0, f"{beyond}(document.querySelector('dialog[open]'))")
        await page.resize(1366, 768)
        await page.shows("85 of 100 calls", "dialog[open] .list .level1")
        await page.run("document.querySelector('dialog[open] .list button').click()")
        await page.until("document.activeElement.closest('[data-item=\"queue:800\"]')")
        assert not await page.count("dialog[open]")
        await page.press("5")
        await page.resize(*PHONE)
        await page.until(f"{chip}.innerText.includes('Бухгалтерия') && {beyond}({chip}) <= 0")
        assert not page.complaints


async def test_times_of_day_are_the_pbxs_from_the_first_one_that_is_shown(
    page: Page, valkey: RealBus
) -> None:
    at = time.time()
    state = house(2, at)
    system = state["system"]["pbx"]
    state["system"]["pbx"] = msgspec.structs.replace(system, time_zone="Asia/Kathmandu")
    state["ended"]["1"] = msgspec.structs.replace(
        entities.ended(1), caller="+493012345678", started_at=from_unix(at), ended_at=from_unix(at)
    )
    await page.before(_CLOCKS)
    async with writing(valkey, state), gateway(valkey, heartbeat=1) as served:
        for view in ("queues", "missed"):
            wall = f"http://127.0.0.1:{served.port}/wall?view={view}&lang=en&theme=dark"
            await page.go(f"{wall}#key={key(0)}")
            await page.until("window.clocks?.length")
            minutes = {(int(at) // 60 + 45 + more) % 60 for more in range(10)}
            clocks: list[str] = await page.run("window.clocks")
            assert {int(text[3:]) for text in clocks} <= minutes, "5:45 h before Greenwich"
        ended = await page.until("document.querySelector('table.missed .num')?.innerText")
        assert int(ended[3:]) == (int(at) // 60 + 45) % 60


async def test_a_typo_in_the_address_is_told_and_silences_nothing(
    page: Page, valkey: RealBus
) -> None:
    async with writing(valkey, full_day(time.time())), gateway(valkey, heartbeat=1) as served:
        for mode, size in (("", PHONE), ("kiosk=1", TV)):
            await page.resize(*size)
            wall = f"http://127.0.0.1:{served.port}/wall?view=queues&lang=en&{mode}"
            await page.go(f"{wall}&waiting=abc&wating=1#key={key(0)}")
            await page.shows("“waiting=abc” in the address is not understood", ".problems")
            await page.shows("“wating=1” in the address is not a setting", ".problems")
            await page.until("document.querySelector('.queue .figure.level2')")
            await page.becomes([], _CLIPPED)


@pytest.mark.parametrize("agents", [pytest.param(5, marks=pytest.mark.soak), 300])
async def test_in_tv_mode_too(page: Page, valkey: RealBus, agents: int) -> None:
    async with writing(valkey, house(agents, time.time())), gateway(valkey, heartbeat=1) as served:
        await page.resize(*TV)
        for lang, view in (
            ("en", "queues"),
            ("ru", "queues"),
            ("en", "agents"),
            ("ru", "agents"),
            ("ru", "calls"),
        ):
            settings = f"kiosk=1&view={view}&theme=dark&lang={lang}"
            await page.go(f"http://127.0.0.1:{served.port}/wall?{settings}#key={key(0)}")
            await page.until("document.querySelector('.tile, table.calls tbody tr')")
            for unseen in (_OVER, _CUT):
                await page.becomes([], unseen)
            root = "document.documentElement"
            await page.becomes([*TV], f"[{root}.scrollWidth, {root}.scrollHeight]")
        assert not page.complaints


async def test_what_a_pbx_says_is_shown_even_if_it_is_a_name_of_javascript(
    page: Page, valkey: RealBus
) -> None:
    state = house(5, time.time())
    said = ("__proto__", "constructor", "<img src=x>", "\u202e", "[")
    for (num, extension), word in zip([*state["extensions"].items()], said, strict=True):
        assert isinstance(extension, Extension)
        state["extensions"][num] = msgspec.structs.replace(
            extension, fwd_name=word, available=False
        )
    async with writing(valkey, state), gateway(valkey, heartbeat=1) as served:
        await page.go(f"http://127.0.0.1:{served.port}/wall?view=agents&lang=en#key={key(0)}")
        await page.becomes(
            sorted(said),
            "[...document.querySelectorAll('.agent .word')].map((one) => one.textContent).sort()",
        )
        assert await page.run("Object.keys(Object.prototype).length") == 0
        assert not page.complaints
