"""Play the day of a call centre's agents: they take breaks, and log out of their queues."""

from __future__ import annotations

import random
from typing import Final

from monitor.simulator.pbx_data.directory import Directory
from monitor.simulator.pbx_data.templates import PROFILES
from monitor.simulator.traffic.call_parties import Play, Scene

_WORK_S: Final = 3_000.0
"""Average seconds between two breaks."""
_BREAK_S: Final = (120.0, 780.0)
_OUT_S: Final = (300.0, 2_400.0)
_SHARE_OUT: Final = 0.2
"""Share of the breaks for which an agent logs out of the queues, as for work without calls."""
_LATER_S: Final = 15.0
"""Seconds after which an agent who could not take the break looks again."""


def shift(scene: Scene, number: str, most: int) -> Play:
    """Play the breaks of one agent, for ever. At most ``most`` phones are left at a time.

    The profile of a break logs out of the queues, as it does at a 3CX with that option.
    """
    directory, rng = scene.cast.directory, scene.rng
    if not _is_here(directory, number):
        return  # all day
    yield rng.uniform(0.0, _WORK_S)
    while True:
        while scene.switchboard.busy(number) or len(scene.cast.away) >= most:
            yield _LATER_S
        if rng.random() < _SHARE_OUT:
            _set(directory, number, QueueStatus="LoggedOut")
            yield rng.uniform(*_OUT_S)
        else:
            scene.cast.away.add(number)
            _set(directory, number, QueueStatus="LoggedOut", CurrentProfileName=_reason(rng))
            yield rng.uniform(*_BREAK_S)
            scene.cast.away.discard(number)
        _set(directory, number, QueueStatus="LoggedIn", CurrentProfileName=PROFILES[0])
        yield rng.expovariate(1.0 / _WORK_S)


def _is_here(directory: Directory, number: str) -> bool:
    user = directory.entity(number)
    return user is not None and (
        bool(user["Enabled"])
        and directory.registered(number)
        and user["QueueStatus"] == "LoggedIn"
        and user["CurrentProfileName"] == PROFILES[0]
    )


def _reason(rng: random.Random) -> str:
    return PROFILES[1] if rng.random() < 0.8 else PROFILES[2]


def _set(directory: Directory, number: str, **values: str) -> None:
    user = directory.entity(number)
    if user is not None:
        directory.update(user, values)
