"""Test the wallboard in a real browser with a real gateway and a simulated PBX."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import pytest

from monitor.shared.timestamps import from_unix
from tests.browser.chromium import WITHIN, Page
from tests.browser.world import CALLER, World
from tests.system.stack import KEY
from tests.wrong_services import http, listening

SECONDS = "(t => t.split(':').reduce((sum, part) => 60 * sum + Number(part), 0))"
_LOCKS = """(() => {
  const request = WakeLock.prototype.request;
  window.locks = [];
  WakeLock.prototype.request = async function (...kind) {
    const lock = await request.apply(this, kind);
    window.locks.push(lock);
    return lock;
  };
})()"""
"""Keep the locks that the page gets from the browser, so that the screen stays on."""
_COLOUR = """(async () => {
  const icon = Object.assign(new Image(), { src: document.querySelector('link[rel=icon]').href });
  await icon.decode();
  const pen = document.createElement('canvas').getContext('2d');
  pen.drawImage(icon, 0, 0);
  return [...pen.getImageData(1, 1, 1, 1).data];
})()"""
"""The colour of the window's icon, at its edge."""
_TEXTS = "((what) => [...document.querySelectorAll(what)].map((each) => each.innerText))"
WAITING = "document.querySelector('[data-item=\"queue:800\"] .figure .value')?.innerText"


async def test_a_call_appears_ticks_changes_state_and_vanishes(page: Page, world: World) -> None:
    await page.go(world.wall("view=calls"))
    await page.shows("No calls now.")
    agent = await world.agent()
    call = world.queued()
    await page.shows(CALLER, "table.calls")
    await page.shows("In queue", "table.calls")
    timer = f"{SECONDS}(document.querySelector('table.calls td.right').innerText)"
    began = await page.run(timer)
    await page.until(f"{timer} >= {began + 2}")
    world.pbx.switchboard.poll(call, [agent])
    await page.shows("Ringing", "table.calls")
    await page.shows(agent, "table.calls")
    world.pbx.switchboard.answer(call, agent)
    await page.shows("Talking", "table.calls")
    world.pbx.switchboard.end(call)
    await page.shows("No calls now.")
    assert not page.complaints


async def test_a_queue_shows_who_waits_and_how_its_agents_are(page: Page, world: World) -> None:
    await page.go(world.wall("view=queues&waiting=2,3&wait=600,900"))
    await page.until(f"{WAITING} === '0'")
    agent = await world.agent()
    calls = [world.queued(number=f"+1555000111{last}") for last in range(3)]
    await page.until(f"{WAITING} === '3'")
    await page.shows("+15550001110", "[data-item='queue:800'] .callers")
    await page.until(
        "document.querySelector('[data-item=\"queue:800\"]').classList.contains('level2')"
    )
    await page.until("document.querySelector('[role=status]').textContent.includes('3 waiting')")
    talking = "[data-item='queue:800'] .counts .talking b"
    assert await page.text(talking) == "0"
    world.pbx.switchboard.poll(calls[0], [agent])
    world.pbx.switchboard.answer(calls[0], agent)
    await page.until(f"{WAITING} === '2'")
    await page.shows("1", talking)
    await page.until(
        "!document.querySelector('[data-item=\"queue:800\"]').classList.contains('level2')"
    )
    await page.shows("1 / 3", "[data-item='queue:800'] .day")
    await page.run("document.querySelector('[data-item=\"queue:800\"]').click()")
    await page.shows("Today: 3 offered, 1 answered, 0 abandoned", "dialog[open]")
    assert not page.complaints


async def test_agents_show_what_they_do_and_with_whom(page: Page, world: World) -> None:
    await page.go(world.wall("view=agents"))
    agent = await world.agent()
    await page.until("document.querySelectorAll('.agent').length > 1")
    tile = f"[data-item='agent:{agent}']"
    await page.shows("Free", tile)
    call = world.queued()
    world.pbx.switchboard.poll(call, [agent])
    await page.shows("Ringing", tile)
    world.pbx.switchboard.answer(call, agent)
    await page.shows("Talking", tile)
    await page.shows(CALLER, tile)
    await page.run(f'document.querySelector("{tile}").click()')
    await page.until(
        r"/Talking · \+15550001111 · \d+:\d\d/.test(document.querySelector('dialog[open] "
        r"li')?.innerText)"
    )
    await page.press("Escape")
    await page.until("!document.querySelector('dialog[open]')")
    world.pbx.switchboard.end(call)
    await page.shows("Free", tile)
    await page.run(f'document.querySelector("{tile}").click()')
    await page.shows("Today: rung by 1, answered 1, missed 0", "dialog[open]")
    assert not page.complaints


async def test_who_gave_up_is_to_be_called_back(page: Page, world: World) -> None:
    await page.go(world.wall("view=missed"))
    await page.shows("Nobody was missed today.")
    call = world.queued()
    await page.press("3")
    await page.shows(CALLER, "table.calls")
    world.pbx.switchboard.end(call)
    await page.press("4")
    await page.shows("Abandoned in queue", "table.missed")
    await page.shows(CALLER, "table.missed")
    more = [world.queued(number=number) for number in (CALLER, CALLER, "", "")]
    await page.press("3")
    await page.becomes(4, "document.querySelectorAll('table.calls tbody tr').length")
    for call in more:
        world.pbx.switchboard.end(call)
    await page.press("4")
    await page.shows("5 calls", ".totals")
    await page.becomes(3, "document.querySelectorAll('table.missed tbody tr').length")
    await page.becomes(["3 calls"], f"{_TEXTS}('table.missed .more')")
    await page.run("document.querySelector('table.missed .more').closest('tr').click()")
    await page.becomes(3, "document.querySelectorAll('dialog[open] .attempts li').length")
    assert not page.complaints


async def test_what_is_drawn_before_the_next_frame_is_in_the_zone_of_the_pbx(
    page: Page, world: World
) -> None:
    await page.move("Pacific/Auckland")
    await page.go(world.wall("view=calls"))
    call = world.queued()
    await page.shows(CALLER, "table.calls")
    world.pbx.switchboard.end(call)
    await page.press("4")
    await page.shows(CALLER, "table.missed")
    at = await page.text("table.missed td.when")
    await page.before("window.requestAnimationFrame = () => 0")
    await page.go(world.wall("view=calls&frames=none"))
    async with asyncio.timeout(WITHIN):
        while CALLER not in await page.text("table.missed"):
            await page.press("3")
            await page.press("4")
    assert await page.text("table.missed td.when") == at
    ended = datetime.fromisoformat((await world.ask("pbx.ended.get"))["ended"][0]["endedAt"])
    assert at == ended.astimezone(ZoneInfo("Europe/Berlin")).strftime("%H:%M")


async def test_what_one_chose_stands_in_the_address_and_is_there_after_a_reload(
    page: Page, world: World
) -> None:
    agent = await world.agent()
    calls = [world.queued(number=f"+1555000000{last}") for last in (2, 9, 4)]
    world.queued(number="+15550001007")
    world.pbx.switchboard.poll(calls[2], [agent])
    world.pbx.switchboard.answer(calls[2], agent)
    await page.go(world.wall("view=queues"))
    await page.shows("3", ".kpi .value")
    await page.run("document.querySelector('.kpi').click()")  # those who wait
    froms = f"{_TEXTS}('table.calls tbody .num').filter((num) => num.startsWith('+'))"
    await page.becomes(["+15550000002", "+15550000009", "+15550001007"], froms)
    assert await page.text("table.calls [aria-sort=descending]") == "Time"
    head = "document.querySelector('table.calls th.from button')"
    await page.run(f"{head}.click()")
    await page.run(f"{head}.click()")
    await page.becomes(["+15550001007", "+15550000009", "+15550000002"], froms)
    await page.press("/")
    await page.write("000000")
    kept = ["+15550000009", "+15550000002"]
    await page.becomes(kept, froms)
    await page.shows("2 calls", ".totals")
    search = "location.search.split(/[?&]/).filter((one) => !/lang|theme/.test(one)).sort()"
    told = ["", "find=000000", "only=waiting", "sort=-from", "view=calls"]
    await page.becomes(told, search)
    await page.run("location.reload(); window.old = true")
    await page.until("!window.old && document.querySelector('table.calls')")
    await page.becomes(kept, froms)
    assert await page.text("table.calls [aria-sort=descending]") == "From"
    assert await page.run("document.getElementById('find').value") == "000000"
    await page.run("document.querySelector('.only').click()")
    await page.shows("3 calls", ".totals")
    assert await page.count(".totals button") == 2, "in queue, talking"
    signs = "[...document.querySelectorAll('.totals svg')].map((sign) => sign.classList[1])"
    assert sorted(await page.run(signs)) == ["talking", "waiting"], "they explain those above"
    await page.press("Escape")
    await page.press("Escape")
    await page.becomes(["", "sort=-from", "view=calls"], search)
    await page.becomes(4, "document.querySelectorAll('table.calls tbody tr').length")
    assert not page.complaints


async def test_the_totals_of_calls_keep_their_order(page: Page, world: World) -> None:
    await page.go(world.wall("view=calls"))
    shown = f"{_TEXTS}('.totals .word')"
    board = world.pbx.switchboard
    talks = world.queued()
    agent = await world.agent()
    board.poll(talks, [agent])
    board.answer(talks, agent)
    await page.becomes(["Talking"], shown)
    world.queued()
    await page.becomes(["In queue", "Talking"], shown)
    rings = world.queued()
    board.poll(rings, [await world.agent()])
    await page.becomes(["In queue", "Ringing", "Talking"], shown)
    board.end(talks)
    await page.becomes(["In queue", "Ringing"], shown)
    assert not page.complaints


async def test_an_alarm_of_waiting_callers_ends_in_the_very_frame_in_which_nobody_waits(
    page: Page, world: World
) -> None:
    tile = "document.querySelector('[data-item=\"queue:800\"]')"
    await page.before(f"""new MutationObserver(() => {{
      const bad = {tile}?.querySelector('.figure')?.classList.contains('level2');
      if (bad && {WAITING} === '0') window.late = true;
      if (bad) window.seen = true;
    }}).observe(document, {{ subtree: true, childList: true, characterData: true }})""")
    await page.go(world.wall("view=queues&waiting=1,1"))
    call = world.queued()
    await page.until(f"{tile}?.classList.contains('level2')")
    world.pbx.switchboard.end(call)
    await page.until(f"{WAITING} === '0'")
    await page.until(f"!{tile}.classList.contains('level2')")
    assert await page.run("window.seen")
    assert not await page.run("window.late ?? false")
    assert not page.complaints


async def test_the_filter_and_the_keys(page: Page, world: World) -> None:
    await page.go(world.wall("view=calls"))
    await page.shows("No calls now.")
    world.queued("800", "+15550000001")
    world.queued("801", "+15550000002")
    await page.until("document.querySelectorAll('table.calls tbody tr').length === 2")
    await page.press("/")
    await page.until("document.activeElement.id === 'find'")
    await page.write("0002")
    await page.until("document.querySelectorAll('table.calls tbody tr').length === 1")
    await page.shows("+15550000002", "table.calls")
    await page.press("Enter")
    await page.until("document.activeElement.closest('tr[data-item]')")
    await page.press("Enter")
    await page.shows("+15550000002", "dialog[open]")
    await page.shows("skyetel", "dialog[open]")
    await page.press("Escape")
    await page.until("!document.querySelector('dialog[open]')")
    await page.press("Escape")
    await page.until("document.querySelectorAll('table.calls tbody tr').length === 2")
    second = await page.run("document.activeElement.closest('[data-item]').dataset.item")
    await page.press("ArrowUp")
    assert second.startswith("call:")
    await page.until(f"document.activeElement.closest('[data-item]')?.dataset.item !== {second!r}")
    await page.press("t")
    await page.until("document.documentElement.dataset.theme === 'light'")
    await page.press("?")
    await page.shows("full screen", "dialog[open]")
    await page.run("document.querySelector('dialog[open] input').click()")
    await page.press("Escape")
    await page.until("!document.querySelector('dialog[open]')")
    for key in "2/?":
        await page.press(key)
    await page.press("ArrowDown")
    assert "view=calls" in await page.run("location.search"), "single keys are off"
    assert not await page.count("dialog[open]")
    await page.run("document.querySelector('.tools button:last-child').click()")
    await page.until("document.querySelector('dialog[open] input:not(:checked)')")
    await page.run("document.querySelector('dialog[open] input').click()")
    assert "view=calls&kiosk=1" in await page.run("document.querySelector('dialog[open] a').href")
    await page.press("Escape")
    await page.until("!document.querySelector('dialog[open]')")
    await page.press("2")
    await page.until("document.querySelectorAll('.agent').length > 1")
    await page.until("location.search.includes('view=agents')")
    assert not page.complaints


async def test_a_pause_holds_the_picture_and_counts_what_waits(page: Page, world: World) -> None:
    await page.go(world.wall("view=calls"))
    await page.shows("No calls now.")
    await page.press("p")
    await page.shows("Paused · 0 changes wait")
    world.queued()
    await page.until(
        "Number(/(\\d+) changes? waits?/.exec(document.querySelector('.fresh').innerText)[1]) > 0"
    )
    await page.shows("No calls now.")
    await page.press("p")
    await page.shows(CALLER, "table.calls")


async def test_a_pause_hides_no_staleness(page: Page, world: World) -> None:
    await page.go(world.wall("view=calls"))
    await page.shows("No calls now.")
    await page.press("p")
    await page.shows("Paused · 0 changes wait")
    await world.pbx.faults.refuse()
    await page.shows("PBX connection lost", ".banner")
    await world.stop_gateway()
    await page.shows("The gateway cannot be reached", ".banner")


async def test_what_a_tv_says_of_staleness_is_read_whole_and_covers_no_number(
    page: Page, world: World
) -> None:
    said, banner = ("document.querySelector('.banner p')", "document.querySelector('.banner')")
    top = "document.querySelector('.strip').getBoundingClientRect().top"
    for size, lang in (((1080, 1920), "de"), ((1920, 1080), "ru")):
        await page.resize(*size)
        await page.go(world.wall("view=queues&kiosk=1").replace("lang=en", f"lang={lang}"))
        await page.until("document.querySelector('.fresh.live')")
        await world.stop_gateway()
        await page.until(said)
        await page.until(f"{said}.scrollWidth <= {said}.clientWidth")
        await page.until(f"{banner}.getBoundingClientRect().bottom <= {top}")
        await world.start_gateway()


async def test_what_is_short_is_not_told(page: Page, world: World) -> None:
    await page.go(world.wall("view=calls"))
    await page.until("document.querySelector('.fresh.live')")
    watched = (
        "new MutationObserver(() => (window.seen += document.querySelector('.bar').innerText))"
    )
    await page.run(
        f"window.seen = ''; {watched}.observe(document.body, {{subtree: true, childList: "
        f"true}}); true"
    )
    await world.stop_gateway()
    await world.start_gateway()
    world.queued()
    await page.shows(CALLER, "table.calls")
    assert "Connecting" not in await page.run("window.seen")


async def test_another_key_may_be_put_into_the_address_of_an_open_page(
    page: Page, world: World
) -> None:
    await page.go(world.wall("view=queues", key="of-yesterday"))
    await page.shows("This display key is not valid")
    await page.run(f"location.hash = 'key={KEY}'")
    await page.until("document.querySelector('.fresh.live')")
    assert await page.run("location.hash") == ""


async def test_a_key_in_an_address_takes_no_kept_keys_place_before_somebody_says_so(
    page: Page, world: World
) -> None:
    kept = "localStorage.getItem('callmon.key')"
    await page.go(world.wall("view=queues"))
    await page.until("document.querySelector('.fresh.live')")
    for again in (False, True):
        if again:  # in the open page, then in one that is opened with it
            await page.go("about:blank")
            await page.go(world.wall("view=queues", key="of-somebody-else"))
        else:
            await page.run("location.hash = 'key=of-somebody-else'")
        await page.shows("Use another display key?", "[role=alertdialog]")
        assert await page.run(kept) == KEY
        await page.run("document.querySelector('.keep').click()")
        await page.until("document.querySelector('.fresh.live')")
        assert await page.run(kept) == KEY
    await page.run("location.hash = 'key=of-somebody-else'")
    await page.shows("Use another display key?")
    await page.run("document.querySelector('.take').click()")
    await page.shows("This display key is not valid")
    assert await page.run(kept) == "of-somebody-else"


async def test_a_filtered_screen_counts_the_whole_licence(page: Page, world: World) -> None:
    await page.go(world.wall("view=lines,calls&queues=801"))
    for number in range(3):
        world.queued("800", f"+1555000000{number}")
    await page.shows("3 / 512", ".strip")
    await page.press("3")
    await page.shows("No calls now.")


async def test_an_alarm_of_another_view_is_seen_as_well(page: Page, world: World) -> None:
    await page.before("navigator.setAppBadge = async (count) => { window.badge = count; }")
    await page.go(world.wall("view=agents&waiting=1,2&free=99,98"))
    await page.until(
        r"/Free agents: [1-9]\d* · queue 80/.test(document.querySelector('.alarms')?.innerText)"
    )
    icon = "document.querySelector('link[rel=icon]').href"
    await page.until("document.title.startsWith('▲ 3 · Agents')")
    await page.becomes([198, 42, 18, 255], _COLOUR)  # a red plate
    await page.becomes(3, "window.badge")
    for number in range(2):
        world.queued("801", f"+1555000000{number}")
    await page.shows("2 waiting · queue 801", ".alarms")  # callers before what lasts
    await page.press("1")
    await page.until("!document.querySelector('.alarms')")
    await page.go(world.wall("view=queues&free=,"))
    await page.until("document.title === 'Queues · callmon' && window.badge === 0")
    await page.until(f"{icon}.includes('/static/icons/wall.svg')")


async def test_tv_mode_pages_and_never_scrolls(page: Page, world: World) -> None:
    await page.resize(1920, 1080)
    await page.before(_LOCKS)
    await page.go(world.wall("kiosk=1&view=calls,lines&page=3"))
    await page.shows("No calls now.")
    said = "parseFloat(getComputedStyle(document.querySelector('.empty')).fontSize)"
    await page.until(f"{said} >= 80")
    await page.until("window.locks.length === 1 && !window.locks[0].released")
    await page.run("window.locks[0].release()")  # as the browser does when the page is hidden
    await page.run("document.dispatchEvent(new Event('visibilitychange'))")
    await page.until("window.locks.length === 2 && !window.locks[1].released")
    for number in range(16):
        world.queued(number=f"+155500000{number:02}")
    await page.until("document.querySelectorAll('.dots i').length === 2")
    seen = "[...document.querySelectorAll('table.calls td.from')].map((cell) => cell.innerText)"
    first = set(await page.run(seen))
    assert 8 <= len(first) < 16
    second = set(
        await page.until(f"document.querySelectorAll('.dots i')[1]?.className === 'on' && {seen}")
    )
    assert len(first | second) == 16
    root = "document.documentElement"
    await page.becomes([1920, 1080], f"[{root}.scrollWidth, {root}.scrollHeight]")
    await page.until("document.querySelectorAll('.line').length === 3")
    await page.until("document.querySelectorAll('table.calls').length === 1")
    large = "parseFloat(getComputedStyle(document.querySelector('.kpi .value')).fontSize)"
    await page.until(f"document.querySelector('.kpi') && {large} >= 90 && {large} <= 140")


async def test_on_a_phone_all_fits_the_width_and_the_thumb(page: Page, world: World) -> None:
    await page.resize(390, 844)
    world.queued(number="+155500000001")
    for view in ("queues", "agents", "calls", "missed", "lines"):
        for language in ("en", "ru"):
            await page.go(world.wall(f"view={view}&lang={language}").replace("lang=en&", "", 1))
            await page.until("document.querySelector('.fresh.live')")
            await page.until("document.querySelector('.stage').children.length > 0")
            await page.becomes(390, "document.documentElement.scrollWidth")
            buttons = (
                "[...document.querySelectorAll('.wall button')].map((one) => "
                "one.closest('[data-item]') ?? one)"
            )
            small = f"{buttons}.filter((one) => one.offsetWidth && one.offsetHeight < 44)"
            await page.becomes(0, f"{small}.length")


async def test_on_a_phone_the_list_begins_early_and_the_views_stay_in_sight(
    page: Page, world: World
) -> None:
    await page.resize(390, 844)
    for lang in ("en", "ru"):
        await page.go(world.wall(f"view=agents&lang={lang}").replace("lang=en&", "", 1))
        await page.until("document.querySelectorAll('.agent').length > 9")
        top = "document.querySelector('.agent').getBoundingClientRect().top"
        await page.until(f"{top} < innerHeight * 0.4")
        await page.run("scrollTo(0, 9999)")
        nav = "document.querySelector('nav button').getBoundingClientRect().top"
        await page.until(f"scrollY > 200 && {nav} >= 0 && {nav} < 60")
        cut = """[...document.querySelectorAll('nav button')].filter((each) =>
          each.scrollWidth > each.clientWidth).map((each) => each.innerText)"""
        await page.until(f"{cut}.length === 0")  # once the typeface is there


async def test_who_was_missed_is_called_back_by_a_tap_and_back_closes_what_is_open(
    page: Page, world: World
) -> None:
    await page.resize(390, 844)
    await page.go(world.wall("view=calls"))
    await page.shows("No calls now.")
    calls = [world.queued(), world.queued(number="")]
    await page.until("document.querySelectorAll('table.calls tbody tr').length === 2")
    for call in calls:
        world.pbx.switchboard.end(call)
    await page.press("4")
    await page.until("document.querySelectorAll('table.missed tbody tr').length === 2")
    beyond = "(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)"
    await page.becomes(0, f"{beyond}(document.querySelector('table.missed thead tr'))")
    links = "[...document.querySelectorAll('table.missed a')].map((each) => each.href)"
    assert await page.run(links) == [f"tel:{CALLER}"], "a withheld number cannot be called"
    row = "document.querySelector('table.missed a').closest('tr')"
    await page.run(f"{row}.querySelector('.open').click()")
    await page.shows(CALLER, "dialog[open] h2 a[href^='tel:']")
    await page.run("history.back()")
    await page.until("!document.querySelector('dialog[open]')")
    await page.until("document.querySelector('table.missed')")
    await page.until("location.search.includes('view=missed')")  # it is still the same view
    assert not page.complaints


async def test_on_a_phone_what_opens_can_be_read(page: Page, world: World) -> None:
    await page.resize(390, 844)
    agent = await world.agent()
    call = world.queued()
    world.pbx.switchboard.poll(call, [agent])
    world.queued()
    cut = """[...document.querySelectorAll('dialog :is(td, .word, .name)')].filter((each) =>
      each.scrollWidth > each.clientWidth + 1 && each.clientWidth < 120
    ).map((each) => each.outerHTML)"""
    row = f"tr[data-item='call:{call.id}']"  # the other call rings nobody
    for view, item, says in (("calls", row, "Звонит"), ("queues", ".queue", "Звонят")):
        await page.go(world.wall(f"view={view}&lang=ru").replace("lang=en&", "", 1))
        await page.until(f"document.querySelector({item!r})")
        await page.run(f"document.querySelector({item!r}).click()")
        await page.until("document.querySelectorAll('dialog[open] td').length > 7")
        await page.shows(says, "dialog[open]")
        await page.becomes([], cut)


async def test_a_lost_pbx_is_said_and_found_again_without_reload(page: Page, world: World) -> None:
    await page.go(world.wall("view=calls"))
    world.queued()
    await page.shows(CALLER)
    await page.run("window.marked = true")
    await world.pbx.faults.refuse()
    await page.shows("PBX connection lost", ".wall.stale .banner")
    await page.shows(CALLER)
    await world.pbx.faults.accept()
    await page.until("!document.querySelector('.banner') && !document.querySelector('.wall.stale')")
    assert await page.run("window.marked") is True


async def test_a_gateway_that_was_away_is_said_and_found_again_without_reload(
    page: Page, world: World
) -> None:
    await page.go(world.wall("view=calls"))
    await page.shows("No calls now.")
    await page.run("window.marked = true")
    await world.stop_gateway()
    await page.shows("The gateway cannot be reached", ".banner")
    await world.start_gateway()
    await page.until("!document.querySelector('.banner') && document.querySelector('.fresh.live')")
    world.queued()
    await page.shows(CALLER, "table.calls")
    assert await page.run("window.marked") is True


async def test_silence_from_the_monitor_is_said(page: Page, world: World) -> None:
    await page.go(world.wall("view=queues"))
    await page.until("document.querySelector('.fresh.live')")
    await world.stop_monitor()
    await page.shows("No news from the monitor", ".banner")


async def test_a_key_that_ceases_to_hold_is_said_and_another_one_goes_on(
    page: Page, world: World
) -> None:
    await page.go(world.wall("view=queues"))
    await page.until("document.querySelector('.fresh.live')")
    assert await page.run("location.hash") == ""
    await world.stop_gateway()
    await world.start_gateway(key="another-display-key")
    await page.shows("This display key is not valid")
    asked = len(page.requested)
    await page.run("new Promise((resolve) => setTimeout(resolve, 1500))")
    assert len(page.requested) == asked, "it stays away"
    await page.run("document.querySelector('input[name=key]').focus()")
    await page.write("another-display-key")
    await page.press("Enter")
    await page.until("document.querySelector('.fresh.live')")


async def test_a_stream_that_is_ended_for_its_key_says_so(page: Page, world: World) -> None:
    await world.stop_gateway()
    await world.start_gateway(expires=from_unix(time.time() + 6))
    await page.go(world.wall("view=queues"))
    await page.shows("This display key is not valid")
    assert KEY not in await page.run("location.href")


async def test_without_a_key_the_page_asks_for_one(page: Page, world: World) -> None:
    await page.go(f"{world.address}/wall?lang=ru")
    await page.shows("Какой ключ у этого экрана?")
    await page.becomes("key", "document.activeElement.name")


async def test_the_page_asks_no_other_server_and_can_be_installed(page: Page, world: World) -> None:
    await page.go(world.wall("view=queues&waiting=2,3"))
    await page.until("document.querySelector('.fresh.live')")
    app = "fetch(document.querySelector('link[rel=manifest]').href).then((found) => found.json())"
    start = (await page.run(app))["start_url"]
    assert start == f"../../wall?{await page.run('location.search.slice(1)')}"
    assert "waiting=2,3" in start
    assert await page.not_installable() in ([], ["in-incognito"])
    host = world.address.removeprefix("http://")
    others = [
        one for one in page.requested if host not in one and not one.startswith(("data:", "about:"))
    ]
    assert not others


async def test_the_start_page_says_what_is_connected_and_shows_the_stream(
    page: Page, world: World
) -> None:
    await page.go(f"{world.address}/")
    await page.shows("ready; with a key it says more", "#pbxs")
    assert "pbx.example.com" not in await page.text("#pbxs"), (
        "which PBX that is, is not everybody's business"
    )
    await page.run(f"document.querySelector('input[name=key]').value = '{KEY}'")
    await page.run("document.querySelector('input[name=queue]').value = '800'")
    await page.run("document.querySelector('#watch button').click()")
    await page.shows('"type":"snapshot"', "#frames")
    world.queued("801", "+15559999999")
    world.queued("800")
    await page.shows(CALLER, "#frames")
    assert "+15559999999" not in await page.text("#frames")
    await page.shows("connected, followed by the monitor", "#pbxs")
    await page.shows("· pbx.example.com · 3CX 20.", "#pbxs")
    await page.go(f"{world.address}/?lang=ru")
    await page.shows("✓ подключена, монитор", "#pbxs")
    assert not page.complaints


async def test_what_a_proxy_says_for_a_while_does_not_end_the_wall(
    page: Page, world: World
) -> None:
    asked = asyncio.Event()
    other = http("404 Not Found")

    async def not_found(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await other(reader, writer)
        asked.set()

    await page.go(world.wall("view=calls"))
    await page.until("document.querySelector('.fresh.live')")
    await world.stop_gateway()
    async with (
        listening(not_found, port=urlsplit(world.address).port or 0),
        asyncio.timeout(WITHIN),
    ):
        await asked.wait()
    await world.start_gateway()
    await page.until("document.querySelector('.fresh.live')")
    world.queued()
    await page.shows(CALLER, "table.calls")


async def test_the_focus_stays_where_it_was_when_its_call_ends(page: Page, world: World) -> None:
    calls = [world.queued("800", f"+1555000000{number}") for number in range(4)]
    await page.go(world.wall("view=calls"))
    await page.until("document.querySelectorAll('tbody tr').length === 4")
    for _ in range(3):
        await page.press("ArrowDown")
    row = "[...document.querySelectorAll('tbody tr')].indexOf(document.activeElement.closest('tr'))"
    await page.becomes(2, row)
    focused = await page.run("document.activeElement.closest('tr').innerText")
    number = next(each for each in range(4) if f"+1555000000{each}" in focused)
    world.pbx.switchboard.end(calls[number])
    await page.until("document.querySelectorAll('tbody tr').length === 3")
    await page.press("ArrowDown")
    await page.becomes(2, row)
    await page.press("1")
    await page.until("document.querySelector('.queue')")
    await page.press("ArrowDown")
    first = "document.activeElement.closest('[data-item]') === document.querySelector('.queue')"
    await page.until(first)


@pytest.mark.parametrize("size", [(1920, 1080), (1080, 1920)], ids=["landscape", "portrait"])
async def test_tiles_of_a_tv_keep_their_places_when_a_call_ends(
    page: Page, world: World, size: tuple[int, int]
) -> None:
    calls = [world.queued("800", f"+1555000000{number}") for number in range(4)]
    boxes = """(() => [...document.querySelectorAll('.tiles > .call')].map((each) => {
      const { width, height } = each.getBoundingClientRect();
      return `${width.toFixed()} × ${height.toFixed()}`;
    }))()"""
    await page.resize(*size)
    await page.go(world.wall("kiosk=1&view=calls,queues&page=600"))
    await page.until("document.querySelectorAll('.tiles > .call').length === 4")
    before = await page.run(boxes)
    world.pbx.switchboard.end(calls[0])
    await page.until("document.querySelectorAll('.tiles > .call').length === 3")
    assert await page.run(boxes) == before[:3]
    await page.press("1")
    await page.until("document.querySelector('.queue')")
    await page.press("3")
    await page.until("document.querySelectorAll('.tiles > .call').length === 3")
    await page.becomes(before[:3], boxes)
    assert not page.complaints


async def test_what_a_finger_taps_is_large_on_a_phone_that_is_turned(
    page: Page, world: World
) -> None:
    await page.resize(844, 390)
    await page.touch()
    world.queued()
    await page.go(world.wall("view=calls"))
    await page.until("document.querySelector('tbody tr')")
    for tapped in (".bar button", ".search input", ".rows th button", ".total"):
        assert await page.count(tapped), tapped
    small = """[...document.querySelectorAll('.bar button, .search input, .rows th button, .total')]
      .filter((each) => each.offsetWidth > 1 && each.offsetHeight < 44) // a head has no word
      .map((each) => each.outerHTML)"""
    await page.becomes([], small)
    assert not page.complaints
