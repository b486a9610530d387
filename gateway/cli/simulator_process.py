"""Run ``callmon simulate``: a simulated PBX alone in its process."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from gateway.cli.runtime import logging_setup
from gateway.cli.runtime.reload import nothing_to_reload, on_sighup
from gateway.cli.terminal_output import say_text
from monitor.shared.errors import ConfigError
from monitor.shared.host_names import as_named
from monitor.simulator import server
from monitor.simulator.behaviour_options import positions
from monitor.simulator.call_kinds import mix_with
from monitor.simulator.traffic.planner import busy_hour

_EARLIER_S: Final = 600.0
"""Seconds of calls behind the PBX at its start, so that some are under way."""
_MOST_EARLIER: Final = 600
"""Calls that it makes at most before it starts."""


async def run(
    *,
    latency: str,
    switches: list[str],
    extensions: int,
    rate: float | None,
    kinds: list[str],
    without: list[str],
    allowed_hosts: list[str],
    **settings: object,
) -> None:
    """Run a simulated PBX until cancelled; print what a client needs to know.

    ``rate``: calls a minute; None: as many as suit the extensions. Raises ConfigError.
    """
    logging_setup.configure("warning", "human")
    on_sighup(nothing_to_reload)
    calls, talk = busy_hour(extensions, rate)
    made = server.SimulatorSettings(
        extensions=extensions,
        rate=calls,
        talk=talk,
        earlier=min(_EARLIER_S, 60.0 * _MOST_EARLIER / calls),
        kinds=frozenset(kinds),
        without=frozenset(without),
        allowed_hosts=_hosts(allowed_hosts),
        **settings,  # type: ignore[arg-type]  # the command's options bear its names
    )
    try:
        chosen = positions(switches)
        mix_with(made.apps, made.kinds, made.without)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    made = replace(made, switches=replace(chosen, latency=_seconds(latency)))
    with logging_setup.ProgramLog("simulate") as log:
        await server.simulate(made, say_text, lambda address: log.start(address=address))


def _hosts(given: list[str]) -> tuple[str, ...]:
    """Return hosts as browsers name them. Raises ConfigError."""
    named = []
    for host in given:
        try:
            named.append(as_named(host))
        except ValueError as error:
            raise ConfigError(f"--allowed-host: {host!r} is {error}.") from None
    return tuple(named)


def _seconds(text: str) -> float:
    """Return the seconds of a text such as ``50ms`` or ``0.2s``. Raises ConfigError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s)", text.strip())
    if found is None:
        raise ConfigError(f"{text!r} is not a latency; write 50ms or 0.2s")
    return float(found[1]) / (1000 if found[2] == "ms" else 1)
