"""Staff a made-up company like a call centre: agents enough for its queues, lines with names. Pure.

A queue of :func:`monitor.simulator.pbx_data.generator.make_directory` has a handful of agents,
whatever the size of the company, and some of them are meeting rooms.
"""

from __future__ import annotations

import random
from math import ceil
from typing import Final

from monitor.simulator.pbx_data.directory import Directory
from monitor.simulator.pbx_data.templates import PROFILES

_AGENTS: Final = 0.75
"""Share of the people who are agents."""
_SHARED: Final = 1.4
"""Queues of each agent on average."""
_FEWEST: Final = 2
_MOST_THAT_RING: Final = 12
"""A queue of more agents rings them one by one."""


def staff(directory: Directory, seed: int) -> None:
    """Give each queue its share of the people as agents, and each line a name."""
    rng = random.Random(f"{seed}/agents")  # noqa: S311 - made-up data, nothing secret
    queues = directory.queue_numbers()
    people = [number for number in directory.people() if _is_person(directory, number)]
    rng.shuffle(people)
    agents = people[: max(_FEWEST, ceil(len(people) * _AGENTS))]
    each = min(len(agents), max(_FEWEST, ceil(_SHARED * len(agents) / max(1, len(queues)))))
    for place, number in enumerate(queues):
        first = place * len(agents) // len(queues)
        chosen = [agents[(first + step) % len(agents)] for step in range(each)]
        queue = directory.entity(number)
        if queue is not None:
            rows = [
                {"Number": agent, "SkillGroup": str(1 + k % 3)} for k, agent in enumerate(chosen)
            ]
            directory.update(queue, {"Agents": rows})
            if each > _MOST_THAT_RING:
                directory.update(queue, {"PollingStrategy": "Hunt"})
    for user in directory.users.values():
        if user["CurrentProfileName"] != PROFILES[0]:  # it logs out of the queues
            directory.update(user, {"QueueStatus": "LoggedOut"})
    for rule in directory.inbound_rules.values():
        rule["RuleName"] = _line(rule["OfficeHoursDestination"]["Number"], directory)


def _is_person(directory: Directory, number: str) -> bool:
    """Return whether a person has this extension: those of places have no last name."""
    user = directory.entity(number)
    return user is not None and bool(user["LastName"]) and not user["AIAgent"]


def _line(number: str, directory: Directory) -> str:
    """Return a name for the line that leads to a number."""
    dn = directory.dn(number)
    if dn is None:
        return f"Line to {number}"
    return "Main number" if dn.kind == "ivr" else f"{dn.name} line"
