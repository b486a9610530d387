"""Test the wallboard of a busy site: 300 agents, 200 calls, 1,000 changes a second, key presses."""

from __future__ import annotations

import asyncio
import os
import time
from itertools import islice

from monitor.shared.entities.topics import Call, table
from tests.bench.bus_feed import gateway, key, writing
from tests.bench.office import Office
from tests.browser.chromium import Page
from tests.bus import RealBus

SECONDS = float(os.environ.get("CALLMON_STORM", "5"))
"""How long it blows; a minute is worth a try."""
_A_SECOND = 1_000
_AT_ONCE = 20
"""So many changes of entities are one change of the stream, as when a monitor gathers them."""
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


async def test_a_thousand_changes_a_second_and_the_page_still_answers(
    page: Page, valkey: RealBus
) -> None:
    office = Office(300, 200)
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
        await page.until("document.querySelectorAll('table.calls tbody tr').length === 200")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(blow())
            begun, lags = time.monotonic(), []
            while time.monotonic() < begun + SECONDS:
                await page.press("2")
                await page.until("document.querySelectorAll('.agent').length === 60")
                lags.append(await page.run(_LAGS))
                await page.press("3")
                await page.until("document.querySelectorAll('table.calls tbody tr').length === 200")
                await page.press("/")
                await page.write("zz")
                await page.shows("Nothing matches the filter.")
                await page.press("Escape")
                lags.append(await page.run(_LAGS))
            lasted = time.monotonic() - begun
            over.set()
        assert changes / lasted > _A_SECOND / 2, "it hardly blew"
        assert sorted(lags)[len(lags) // 2] < 1000, f"the page stands still for {lags} ms"
        calls = table(state, "calls", Call).values()
        right = sorted(f"{call.extensions[0]}" for call in calls)
        shown = (
            "[...document.querySelectorAll('table.calls tbody tr td.to .num')].map((each) => "
            "each.innerText).sort()"
        )
        await page.until(
            f"JSON.stringify({shown}) === {str(right).replace(chr(39), chr(34)).replace(' ', '')!r}"
        )
        assert not page.complaints
