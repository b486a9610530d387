"""Prove that axe-core, the accessibility checker, finds nothing on our pages."""

from __future__ import annotations

import time
from importlib.resources import files

import pytest

from tests.bench.bus_feed import gateway, key, writing
from tests.browser.chromium import Page
from tests.browser.test_people import busy_queues
from tests.browser.world import World
from tests.bus import RealBus

_AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
_RUN = """axe.run(document, {resultTypes: ["violations"]}).then((found) =>
  found.violations.map((one) => `${one.id}: ${one.nodes.map((node) => `${node.html.slice(0, 200)} ${
    node.failureSummary}`).join("; ")}`))"""
DESK, PHONE, TV = (1280, 900), (390, 844), (1920, 1080)


@pytest.mark.parametrize(
    ("size", "theme"),
    [
        pytest.param(TV, "dark", id="TV-dark"),
        pytest.param(PHONE, "light", id="phone-light"),
        pytest.param(TV, "light", id="TV-light", marks=pytest.mark.soak),
        pytest.param(PHONE, "dark", id="phone-dark", marks=pytest.mark.soak),
    ],
)
async def test_the_wall(page: Page, world: World, theme: str, size: tuple[int, int]) -> None:
    agent = await world.agent()
    world.pbx.switchboard.poll(world.queued(), [agent])
    world.queued("801", "")
    talking = world.queued()
    free = await world.agent()
    world.pbx.switchboard.poll(talking, [free])
    world.pbx.switchboard.answer(talking, free)
    gone = world.queued("802", "+15550009999")
    await page.resize(*size)
    await page.go(world.wall("view=calls"))
    await page.shows("+15550009999", "table.calls")
    world.pbx.switchboard.end(gone)
    for view, ready in (
        ("queues", ".queue"),
        ("agents", ".agent.talking"),
        ("calls", "table.calls tr.talking"),
        ("missed", "table.missed td.from"),
        ("lines", ".tile"),
    ):
        await page.go(
            world.wall(f"view={view}")
            .replace("theme=dark", f"theme={theme}")
            .replace("wall?", f"wall?{view}&")
        )
        await page.until(f"document.querySelector({ready!r})")
        assert await findings(page) == [], view
    await page.press("3")
    await page.until("document.querySelector('table.calls tr.talking')")
    await page.run("document.querySelector('table.calls tr.talking').click()")
    await page.until("document.querySelector('dialog[open] table')")
    assert await findings(page) == []
    await page.press("Escape")
    await page.until("!document.querySelector('dialog[open]')")
    await world.stop_gateway()
    await page.shows("The gateway cannot be reached", ".banner")
    assert await findings(page) == [], "said that it is stale"


async def test_in_tv_mode_in_russian_and_what_opens(page: Page, world: World) -> None:
    world.queued()
    await page.resize(*TV)
    russian = world.wall("lang=ru").replace("lang=en&", "", 1)
    for view, ready in (
        ("queues", ".queue"),
        ("agents", ".agent"),
        ("calls", ".call"),
        ("lines", ".tile"),
    ):
        await page.go(russian.replace("wall?", f"wall?kiosk=1&view={view}&"))
        await page.until(f"document.querySelector({ready!r})")
        assert await findings(page) == [], view
    await page.go(russian.replace("wall?", "wall?view=queues&"))
    await page.until("document.querySelector('.queue')")
    for selector in (".tools button:last-child", ".queue .open"):
        await page.run(f"document.querySelector({selector!r}).click()")
        await page.until("document.querySelector('dialog[open] h2')")
        assert await findings(page) == [], selector
        await page.press("Escape")
        await page.until("!document.querySelector('dialog[open]')")


async def test_alarms_and_what_comes_page_by_page(page: Page, valkey: RealBus) -> None:
    async with (
        writing(valkey, busy_queues(14, time.time())),
        gateway(valkey, heartbeat=1) as served,
    ):
        for size, settings in (
            (TV, "kiosk=1&theme=dark"),
            (DESK, "theme=dark"),
            (DESK, "theme=light"),
        ):
            await page.resize(*size)
            await page.go(
                f"http://127.0.0.1:{served.port}/wall?view=queues&lang=en&{settings}#key={key(0)}"
            )
            await page.until("document.querySelector('.queue.level2 :is(.percent, .day .level2)')")
            assert await findings(page) == [], settings
            if "kiosk" in settings:
                await page.becomes(2, "document.querySelectorAll('.dots i').length")


async def test_the_pages_around_it(page: Page, world: World) -> None:
    await page.resize(*DESK)
    await page.go(f"{world.address}/wall")
    await page.until("document.querySelector('input')")
    assert await findings(page) == [], "it asks for a key"
    await page.go(f"{world.address}/")
    await page.shows("ready; with a key it says more")
    assert await findings(page) == []


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("docs/stream", marks=pytest.mark.soak),
        "docs/stream?lang=ru",
        "wall/help",
        pytest.param("wall/help.ru", marks=pytest.mark.soak),
    ],
)
async def test_the_pages_to_be_read(page: Page, world: World, path: str) -> None:
    await page.resize(*DESK)
    await page.go(f"{world.address}/{path}")
    await page.until("document.querySelector('main.text h2')")
    assert await findings(page) == []


@pytest.mark.parametrize("language", ["en", pytest.param("ru", marks=pytest.mark.soak)])
async def test_the_documents(page: Page, world: World, language: str) -> None:
    await page.resize(*DESK)
    await page.go(f"{world.address}/docs?lang={language}")
    await page.until("document.querySelector('.opblock-tag')")
    await page.run("document.querySelectorAll('.opblock-tag button')[1].click()")
    await page.until("document.querySelector('.opblock-get')")
    # Swagger UI's: a landmark for the list alone, a button in what opens
    own = ("region", "nested-interactive")
    assert [one for one in await findings(page) if not one.startswith(own)] == []


async def findings(page: Page) -> list[str]:
    """Findings of the page as it is now."""
    if not await page.run("'axe' in window"):
        await page.run(f"{_AXE};0")
    found: list[str] = await page.run(_RUN)
    return found
