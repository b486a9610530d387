"""Hold the logins of agents to single queues, and tell whom queues and ring groups ring.

There are two kinds of login. The global one is a property of the user. Only the web client knows
the login to a single queue.
"""

from __future__ import annotations

from collections.abc import Callable

from monitor.simulator.pbx_data.templates import Entity


class QueueLogins:
    """Hold which agents are logged out of which queues. All others are logged in."""

    def __init__(self) -> None:
        self._out: set[tuple[str, str]] = set()
        self._listeners: list[Callable[[], None]] = []

    def on_change(self, callback: Callable[[], None]) -> None:
        """Register a callable that is called after each login and logout."""
        self._listeners.append(callback)

    def logged_in(self, queue: str, extension: str) -> bool:
        """Return whether an agent is logged in to a queue. The global login is not considered."""
        return (queue, extension) not in self._out

    def set(self, queue: str, extension: str, *, logged_in: bool) -> None:
        """Log an agent in to a queue, or out of it."""
        if logged_in:
            self._out.discard((queue, extension))
        else:
            self._out.add((queue, extension))
        for listener in self._listeners:
            listener()


def takes_calls(user: Entity | None) -> bool:
    """Return whether a user takes calls of queues.

    The user must be registered, enabled and logged in globally. A profile counts only by what it
    does to the login.
    """
    return (
        user is not None
        and bool(user["IsRegistered"])
        and bool(user["Enabled"])
        and user["QueueStatus"] == "LoggedIn"
    )


def in_force(user: Entity) -> Entity | None:
    """Return the user's profile in force; None if the user has no profile of that name."""
    name = user["CurrentProfileName"]
    return next((row for row in user["ForwardingProfiles"] if row["Name"] == name), None)


def in_ring_groups(user: Entity | None) -> bool:
    """Return whether ring groups ring a user: the profile in force does not take it out of them."""
    profile = None if user is None else in_force(user)
    return profile is None or not profile["DisableRingGroupCalls"]
