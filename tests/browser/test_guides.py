"""Look at the start page, the documents and the help as somebody who joins would."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

from tests.browser.chromium import Page
from tests.browser.world import World
from tests.system.stack import KEY

SIZES = ((1280, 900), (390, 844))
_BROKEN = """[...document.querySelectorAll('td:last-child')].flatMap((cell) => {
  const text = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT).nextNode();
  const range = document.createRange();
  return [...(text?.data ?? '').matchAll(/\\p{L}+/gu)].filter(({ 0: word, index }) => {
    range.setStart(text, index);
    range.setEnd(text, index + word.length);
    return word.length < 10 && range.getClientRects().length > 1;
  }).map(([word]) => word);
})"""
"""Short words in a table's last column that stand in two lines."""


async def _keep(page: Page, world: World, theme: str) -> None:
    await page.go(f"{world.address}/healthz")
    await page.until("location.pathname === '/healthz' && document.readyState === 'complete'")
    await page.run(f"localStorage.setItem('callmon.theme', {theme!r})")
    await page.run(f"localStorage.setItem('callmon.key', {KEY!r})")


async def test_the_start_page_speaks_its_readers_language(page: Page, world: World) -> None:
    await page.go(f"{world.address}/?lang=ru#key={KEY}")
    await page.shows("Открыть табло", ".door")
    await page.shows("подключена, монитор", "#pbxs")
    assert "Ask" not in await page.text()
    assert await page.run("document.documentElement.lang") == "ru"
    does = await page.run(
        "[...document.querySelectorAll('tbody td:nth-child(2)')].map(at => at.innerText)"
    )
    assert "все активные соединения, по звонкам" in does
    assert [said for said in does if not re.search("[а-я]", said)] == []
    assert await page.run("document.querySelector('a[href=\"wall/help.ru\"]').innerText")
    for language, said in (
        ("de", "Die Wandtafel öffnen"),
        ("fr", "Ouvrir le tableau"),
        ("es", "Abrir el panel"),
        ("pl", "Otwórz tablicę"),
    ):
        for size in SIZES:
            await page.resize(*size)
            await page.go(f"{world.address}/?lang={language}")
            await page.shows(said, ".door")
            width = await page.run("document.documentElement.scrollWidth")
            assert width <= size[0], f"{language} at {size}"
    await page.go(f"{world.address}/?lang=xx")
    await page.shows("Open the wallboard", ".door")
    assert not page.complaints


async def test_the_address_for_a_screen_can_be_copied(page: Page, world: World) -> None:
    await page.go(f"{world.address}/?lang=ru")
    await page.shows(f"{world.address}/wall?view=queues,agents&kiosk=1&lang=ru#key=", "#link")
    await page.until("document.querySelector('.door').href.endsWith('/wall?lang=ru')")
    await page.go(f"{world.address}/?lang=en")
    await page.shows(f"{world.address}/wall?view=queues,agents&kiosk=1&lang=en#key=", "#link")
    await page.run("document.querySelector('#copy').click()")
    await page.until("!['Copy'].includes(document.querySelector('#copy').innerText)")
    chosen = await page.run("getSelection().toString()")
    assert (await page.text("#copy"), chosen != "") in {
        ("Copied", False),
        ("Select and copy", True),
    }


async def test_each_page_has_room_and_the_wallboards_theme(page: Page, world: World) -> None:
    for theme, size in itertools.product(("dark", "light"), SIZES):
        await page.resize(*size)
        await _keep(page, world, theme)
        for path in ("", "docs/stream", "wall/help", "wall/help.ru"):
            await page.go(f"{world.address}/{path}")
            await page.until(
                f"location.pathname === '/{path}' && document.readyState === 'complete'"
                f" && document.documentElement.dataset.theme === {theme!r}"
            )
            scheme = "getComputedStyle(document.documentElement).colorScheme"
            assert await page.run(scheme) == theme, path
            width = await page.run("document.documentElement.scrollWidth")
            assert width <= size[0], f"{path} at {size}"
            assert size == SIZES[1] or await page.run(_BROKEN) == [], path
    assert not page.complaints


async def test_the_documents_take_the_kept_key_and_fold_errors(page: Page, world: World) -> None:
    await _keep(page, world, "dark")
    await page.go(f"{world.address}/docs#/Calls")
    await page.until("document.querySelectorAll('.opblock-post').length")
    assert await page.run("document.documentElement.classList.contains('dark-mode')")
    methods: list[str] = await page.run(
        "[...document.querySelectorAll('.opblock-summary-method')].map((one) => one.innerText)"
    )
    first_post = methods.index("POST")
    assert first_post > 3
    assert "GET" not in methods[first_post:]
    table = await page.text(".info table")
    for status in ("400", "401", "403", "404", "429", "503", "504"):
        assert status in table
    await page.run("document.querySelector('.opblock-summary-control').click()")
    await page.until("document.querySelector('.opblock .execute')")
    assert await page.text(".opblock .responses-inner .response-col_status") in ("Code", "200")
    await page.shows("Errors: 400", ".opblock .opblock-description")
    await page.run("document.querySelector('.opblock .execute').click()")
    await page.until("document.querySelector('.live-responses-table .response-col_status')")
    await page.shows("200", ".live-responses-table tbody .response-col_status")
    told: dict[str, Any] = json.loads(await page.text(".live-responses-table .highlight-code code"))
    assert "error" not in told
    await page.run("document.querySelectorAll('.opblock-summary-control')[1].click()")
    await page.until("document.querySelectorAll('.opblock .execute').length === 2")
    names = "[...document.querySelectorAll('.parameter__name')].map((one) => one.innerText)"
    shown: list[str] = await page.run(names)
    assert shown.count("Callmon-Pbx") == 2
    assert "" not in shown
    assert not page.complaints


async def test_the_documents_speak_russian_and_lead_back_to_english(
    page: Page, world: World
) -> None:
    await page.go(f"{world.address}/docs?lang=ru#/Звонки")
    await page.until("document.querySelector('.opblock-summary-control')")
    await page.run("document.querySelector('.opblock-summary-control').click()")
    await page.until("document.querySelector('.opblock.is-open .execute')")
    for size in SIZES:
        await page.resize(*size)
        width = await page.run("document.documentElement.scrollWidth")
        assert width <= size[0], f"at {size}"
    await page.shows("Адрес и ключ", ".info")
    await page.shows("Неверен сам запрос", ".info table")
    await page.shows("Операторы и менеджеры очередей вызова.", "#docs")
    await page.shows("Сколько вызовов сейчас проходит через АТС", ".opblock.is-open")
    await page.shows("Вид моментов времени в ответе", ".opblock.is-open .parameters")
    await page.shows("Ошибки: 400", ".opblock.is-open .opblock-description")
    await page.run("document.querySelector('nav a[lang=en]').click()")
    await page.shows("Address and key", ".info")
    assert await page.run("document.querySelector('nav a').innerText") == "Русский"
    assert not page.complaints
