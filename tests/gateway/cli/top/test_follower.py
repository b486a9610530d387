"""The stream as ``callmon top`` follows it."""

from __future__ import annotations

from gateway.cli.top import follower
from monitor.shared.printable_text import printable

HOSTILE = "\x1b]52;c;cm0gLXJmIH4=\x07\x9b2J\r\nroot\u202egnp.exe\u2028\x7f\ud800\U000e0041"


def test_the_top_holds_nothing_to_be_obeyed() -> None:
    state = {
        "calls": {"1": {"AConnList": [{"name": HOSTILE, "n": 1}], "did": HOSTILE, "queue": None}}
    }
    follower._clean(state)
    leg = state["calls"]["1"]["AConnList"][0]  # type: ignore[index]
    assert leg == {"name": printable(HOSTILE), "n": 1}
    assert state["calls"]["1"]["did"] == printable(HOSTILE)
