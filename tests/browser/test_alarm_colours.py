"""Test that an alarm differs in light from all else, also for people who are colour-blind."""

from __future__ import annotations

import re
import time

import pytest
from msgspec.structs import replace

from monitor.shared.entities.topics import Queue, State, WaitingCaller, table
from monitor.shared.timestamps import from_unix
from tests.bench.bus_feed import gateway, key, writing
from tests.browser.chromium import Page
from tests.browser.test_people import full_day
from tests.browser.world import CALLER
from tests.bus import RealBus
from tests.gateway import entities

_Colour = tuple[float, float, float]
_SEEN: dict[str, tuple[_Colour, _Colour, _Colour]] = {
    "everybody": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
"""What a kind of sight makes of linear red, green and blue: Machado, Oliveira and Fernandes 2009,
"A Physiologically-based Model for Simulation of Color Vision Deficiency", table of severity 1."""
_GROUNDS = """(() => {
  const ground = (selector) => getComputedStyle(document.querySelector(selector)).backgroundColor;
  return {
    tile: [ground('.queue.level2 header'), ground('.queue.level0')],
    number: [ground('.queue.level2 .figure.level2 .value'), ground('.queue.level0')],
    strip: [ground('.kpi.level2'), ground('.kpi.level0')],
    chip: [ground('.alarms'), ground('.kpi.level0')],
    warning: [ground('.queue.level2 header'), ground('.queue.level1')],
  };
})()"""
"""Of each kind of alarm its ground, and what it must differ from."""


def _one_of_each(at: float) -> State:
    """Return a queue with alarms, one with a warning, one that is well, and a line that is down."""
    state = full_day(at)
    queue = table(state, "queues", Queue)["800"]
    waiting = (WaitingCaller(7, CALLER, "", from_unix(at)),)
    state["queues"]["801"] = replace(queue, num="801", waiting=waiting)
    state["queues"]["802"] = replace(queue, num="802", waiting=())
    state["lines"]["10000"] = replace(entities.line("10000"), registered=False)
    return state


def _linear(colour: str) -> _Colour:
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return red, green, blue


def _light(colour: str, sight: str) -> float:
    """Return the relative luminance (WCAG) of a colour as somebody with that sight has it."""
    given = _linear(colour)
    red, green, blue = (
        min(1.0, max(0.0, sum(share * part for share, part in zip(row, given, strict=True))))
        for row in _SEEN[sight]
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str, sight: str) -> float:
    lights = sorted((_light(one, sight), _light(other, sight)))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def test_contrast_is_reckoned_as_wcag_does() -> None:
    assert _contrast("rgb(0, 0, 0)", "rgb(255, 255, 255)", "everybody") == pytest.approx(21)
    assert _contrast("rgb(119, 119, 119)", "rgb(255, 255, 255)", "everybody") == pytest.approx(
        4.48, abs=0.01
    )
    assert _light("rgb(255, 0, 0)", "protanopia") < _light("rgb(255, 0, 0)", "everybody") < 0.22


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_an_alarm_is_twice_as_light_or_as_dark_as_what_is_well(
    page: Page, valkey: RealBus, theme: str
) -> None:
    async with writing(valkey, _one_of_each(time.time())), gateway(valkey, heartbeat=1) as served:
        await page.resize(1920, 1080)
        wall = f"http://127.0.0.1:{served.port}/wall?view=queues&lang=en&theme={theme}"
        await page.go(f"{wall}&waiting.801=1,9&wait.801=900,999#key={key(0)}")
        await page.until(
            "document.querySelectorAll('.queue').length === 3 && document.querySelector('.alarms')"
        )
        shown = await page.run(_GROUNDS)
        for kind, (alarm, other) in shown.items():
            for sight in _SEEN:
                assert _contrast(alarm, other, sight) >= 2, (kind, sight, alarm, other)
            assert kind == "warning" or _contrast(alarm, "rgb(255, 255, 255)", "everybody") >= 4.5
        signs = "document.querySelectorAll('.queue .figure.level2 .value .glyph.alarm').length"
        await page.becomes(2, signs)  # beside the very number
        await page.until("document.querySelectorAll('.kpi.level2 .value .glyph.alarm').length >= 2")
        assert not page.complaints
