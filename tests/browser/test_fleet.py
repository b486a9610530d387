"""Test the page of many PBXs in a real browser with a real gateway."""

from __future__ import annotations

import pytest

from tests.browser.chromium import Page
from tests.browser.fleet import KEY, many_pbxs, state, states
from tests.browser.test_axe import PHONE, TV, findings

FIRST = "document.querySelector('.tile.pbx h2')?.innerText"
UNSEEN = """[...document.querySelectorAll('.tile.pbx')].filter((tile) => {
  const { bottom, right } = tile.getBoundingClientRect();
  return bottom > innerHeight || right > innerWidth;
}).length"""
CUT = """[...document.querySelectorAll('.tile.pbx :is(.timer, .value, .away > *)')].filter(
  (each) => each.scrollWidth > each.clientWidth + 1 && each.clientWidth).length"""


async def test_the_worst_is_first_and_a_click_opens_its_wall(page: Page) -> None:
    calm = {name: state(2) for name in ("east", "north", "west")}
    async with many_pbxs(calm) as served:
        await page.resize(1280, 900)
        await page.go(served.page("lang=en&theme=dark"))
        await page.until(f"{FIRST} === 'east'")
        await page.becomes(3, "document.querySelectorAll('.tile.pbx').length")
        assert await page.count(".tile.level2") == 0
        served.set("west", state(1, connection="lost"))
        await page.until(f"{FIRST} === 'west'")
        await page.shows("Lost", ".tile.level2")
        await page.shows("does not answer", ".tile.level2")
        await page.until("document.title.startsWith('\u25b2 1 \u00b7 ')")
        await page.until("document.querySelector('[role=status]').textContent.includes('1 PBX')")
        served.set("north", state(2, 7, 5.0))
        await page.until("document.querySelectorAll('.tile.level2').length === 2")
        await page.becomes("west", FIRST)  # what is lost comes before what waits
        await page.run("document.querySelector('.tile.pbx a').click()")
        await page.until("location.pathname.endsWith('/wall')")
        await page.shows("PBX connection lost", ".banner")
        await page.becomes("west", "document.querySelector('.bar h1').innerText")
        await page.until("location.search.includes('pbx=west')")
        assert KEY not in await page.run("location.href")


async def test_a_wall_for_which_no_pbx_is_named_leads_to_all(page: Page) -> None:
    async with many_pbxs({"east": state(1), "west": state(1)}) as served:
        await page.go(served.page("lang=en").replace("/fleet?", "/wall?"))
        await page.until("location.pathname.endsWith('/fleet')")
        await page.until("document.querySelectorAll('.tile.pbx').length === 2")


@pytest.mark.parametrize(
    ("size", "theme", "lang"),
    [
        (TV, "dark", "en"),
        (PHONE, "light", "ru"),
        pytest.param(TV, "light", "de", marks=pytest.mark.soak),
    ],
)
async def test_200_pbxs_fit_on_a_screen_and_axe_finds_nothing(
    page: Page, size: tuple[int, int], theme: str, lang: str
) -> None:
    async with many_pbxs(states(200)) as served:
        await page.resize(*size)
        await page.go(served.page(f"lang={lang}&theme={theme}"))
        await page.until("document.querySelectorAll('.tile.pbx').length === 200")
        await page.until("document.documentElement.scrollWidth <= innerWidth")
        await page.becomes(0, CUT)  # no number is cut
        if size == TV:
            await page.becomes(0, UNSEEN)
        assert await findings(page) == []
        assert not page.complaints


@pytest.mark.parametrize("size", [TV, (1080, 1920)], ids=["landscape", "portrait"])
@pytest.mark.parametrize("count", [8, 30, 60, 200])
async def test_on_a_tv_every_tile_can_be_read_from_the_room(
    page: Page, size: tuple[int, int], count: int
) -> None:
    smallest = """Math.min(...[...document.querySelectorAll(
      '.tile.pbx :is(h2, .value, .label, .timer, .state, .away b, footer span, .reason)'
    )].filter((each) => each.getClientRects().length && each.innerText.trim()).map(
      (each) => parseFloat(getComputedStyle(each).fontSize) * each.currentCSSZoom
    ))"""
    async with many_pbxs(states(count)) as served:
        await page.resize(*size)
        await page.go(served.page("lang=de&theme=dark&kiosk=1&page=600"))
        await page.until("document.querySelectorAll('.tile.pbx').length >= 8")
        await page.until(f"{smallest} >= 32")
        await page.becomes(0, UNSEEN)
        await page.becomes(0, CUT)


async def test_in_tv_mode_200_pbxs_come_page_by_page_the_worst_first(page: Page) -> None:
    async with many_pbxs(states(200)) as served:
        await page.resize(*TV)
        await page.go(served.page("lang=en&theme=dark&kiosk=1&page=3"))
        await page.until("document.querySelectorAll('.dots i').length > 1")
        first = await page.run(FIRST)
        await page.becomes(0, UNSEEN)
        assert await findings(page) == []
        await page.until(f"{FIRST} !== {first!r}")
