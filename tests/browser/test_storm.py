"""Test the wallboard of a busy site: 300 agents, 200 calls, 1,000 changes a second, key presses."""

from __future__ import annotations

import asyncio
import os
import time
from itertools import islice

import pytest

from monitor.shared.entities.topics import Call, table
from tests.bench.bus_feed import gateway, key, writing
from tests.bench.office import Office
from tests.browser.chromium import WITHIN, Page
from tests.bus import RealBus

SECONDS = float(os.environ.get("CALLMON_STORM", "5"))
"""How long it blows; a minute is worth a try."""
_A_SECOND = 1_000
_AT_ONCE = 20
"""So many changes of entities are one change of the stream, as when a monitor gathers them."""
_CALLS = 200
_ROWS = "[...document.querySelectorAll('table.calls tbody tr[data-item]')]"
_MARK = f"{_ROWS}.forEach((row) => {{ row.known = row.dataset.item; }})"
_KEPT = f"{_ROWS}.filter((row) => row.known === row.dataset.item).length"
"""How many rows are the elements that they were, of the same call."""
_WALKED = """(async () => {
  const [stage, found] = [document.querySelector('.stage'), new Map()];
  for (let at = 0; at < stage.scrollHeight; at += stage.clientHeight / 2) {
    stage.scrollTop = at;
    await new Promise((done) => setTimeout(() => requestAnimationFrame(done), 20));
    for (const row of document.querySelectorAll('table.calls tbody tr[data-item]'))
      found.set(row.dataset.item, row.querySelector('.to .num').innerText);
  }
  return [...found.values()].sort();
})()"""
"""The phones of all calls, as somebody sees them who scrolls through the table."""
_LAGS = """(async () => {
  const gaps = [];
  for (let last = performance.now(), end = last + 1500; last < end; ) {
    await new Promise((done) => setTimeout(done, 0));
    gaps.push(performance.now() - last);
    last = performance.now();
  }
  return Math.max(...gaps);
})()"""
"""Longest time of 1.5 seconds in which the page could not have answered, in milliseconds."""


@pytest.mark.soak
async def test_a_thousand_changes_a_second_and_the_page_still_answers(
    page: Page, valkey: RealBus
) -> None:
    office = Office(300, _CALLS)
    state = office.tracker.state
    async with writing(valkey, state) as writer, gateway(valkey, heartbeat=1) as served:
        edits = (edit for event in office.edits() for edit in event)
        changes = 0
        over = asyncio.Event()

        async def blow() -> None:
            nonlocal changes
            begun = time.monotonic()
            while (
                not over.is_set()
            ):  # never ended within a publish: what the office has done must have been told
                await writer.publish(list(islice(edits, _AT_ONCE)))
                changes += _AT_ONCE
                await asyncio.sleep(max(0.0, begun + changes / _A_SECOND - time.monotonic()))

        await page.go(
            f"http://127.0.0.1:{served.port}/wall?view=calls&theme=dark&lang=en#key={key(0)}"
        )
        rows = "document.querySelector('table.calls')?.ariaRowCount"
        await page.until(f"{rows} === '{_CALLS + 1}'")  # and the head
        await page.run(_MARK)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(blow())
            begun, lags = time.monotonic(), []
            while time.monotonic() < begun + SECONDS:
                assert await page.run(_KEPT) > 20, "rows that stay are not made anew"
                assert await page.count("table.calls tbody tr") < 60, "of rows out of sight"
                await page.press("2")
                await page.until("document.querySelectorAll('.agent').length === 60")
                lags.append(await page.run(_LAGS))
                await page.press("3")
                await page.until(f"{rows} === '{_CALLS + 1}'")
                await page.press("/")
                await page.write("zz")
                await page.shows("Nothing matches the filter.")
                await page.press("Escape")
                await page.until(f"{rows} === '{_CALLS + 1}'")
                await page.run(_MARK)
                lags.append(await page.run(_LAGS))
            lasted = time.monotonic() - begun
            over.set()
        assert sorted(lags)[len(lags) // 2] < 1000, f"the page stands still for {lags} ms"
        calls = table(state, "calls", Call).values()
        right = sorted(f"{call.extensions[0]}" for call in calls)
        await page.becomes(right, _WALKED)
        assert await page.count("table.calls tbody tr") < 60
        await page.run("document.querySelector('.stage').scrollTop = 0")
        await page.until("document.querySelector('tr[aria-rowindex=\"2\"]')")
        at = "Number(document.activeElement.closest('tr')?.ariaRowIndex ?? 0)"
        async with asyncio.timeout(WITHIN):
            while await page.run(at) < 100:  # far below what was drawn at first
                await page.press("ArrowDown")
        assert not page.complaints
        if changes / lasted < _A_SECOND / 2:
            pytest.skip(f"this machine made only {changes / lasted:.0f} changes a second")
