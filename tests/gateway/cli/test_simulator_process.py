"""``callmon simulate``: what its options mean."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.cli.runtime import logging_setup
from gateway.cli.simulator_process import _seconds, run
from monitor.shared.errors import ConfigError
from monitor.simulator import server
from monitor.simulator.behaviour_options import Switches
from monitor.simulator.server import SimulatorSettings

NOTHING: dict[str, Any] = {
    "latency": "0s",
    "switches": [],
    "extensions": 12,
    "rate": None,
    "kinds": [],
    "without": [],
    "allowed_hosts": [],
}


@pytest.mark.parametrize(
    ("text", "seconds"), [("50ms", 0.05), ("0.2s", 0.2), (" 3s ", 3.0), ("1.5ms", 0.0015)]
)
def test_a_latency_has_a_unit(text: str, seconds: float) -> None:
    assert _seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "50", "ms", "-1s", "1 s", "1e3ms", ".5s", "1s2", "١s\0"])
def test_what_is_no_latency_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match=r"is not a latency; write 50ms or 0\.2s"):
        _seconds(text)


async def test_options_and_switches_reach_the_simulated_pbx(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[SimulatorSettings] = []

    async def simulate(settings: SimulatorSettings, *_: object) -> None:
        given.append(settings)

    monkeypatch.setattr(server, "simulate", simulate)
    monkeypatch.setattr(logging_setup, "configure", lambda *_: None)
    await run(
        **NOTHING
        | {"latency": "50ms", "switches": ["monitored=half"], "without": ["fax"]}
        | {"allowed_hosts": ["Pbx.Example", "::1"]},
        port=7,
    )
    (made,) = given
    assert (made.extensions, made.port, made.without) == (12, 7, frozenset({"fax"}))
    assert made.allowed_hosts == ("pbx.example", "[::1]")
    assert made.switches == Switches(monitored="half", latency=0.05)
    assert made.rate == pytest.approx(1.8), "a busy hour of twelve"
    assert (made.talk, made.earlier) == (150.0, 600.0)


async def test_a_switch_that_there_is_not_is_refused_before_anything_is_served() -> None:
    with pytest.raises(ConfigError, match="'colour' is not a switch"):
        await run(**NOTHING | {"switches": ["colour=red"]})


async def test_a_kind_of_call_that_there_is_not_is_refused_before_anything_is_served() -> None:
    with pytest.raises(ConfigError, match="'faxes' is not a kind of call; the kinds are queue, "):
        await run(**NOTHING | {"kinds": ["faxes"]})


async def test_what_is_no_host_is_refused_before_anything_is_served() -> None:
    with pytest.raises(ConfigError, match="--allowed-host: 'http://a' is no name or address"):
        await run(**NOTHING | {"allowed_hosts": ["http://a"]})
