"""Logins to queues: the global one is a user's property, the one to a single queue is known to the web client alone."""

from __future__ import annotations

from monitor.simulator.pbx_data.templates_internal import Entity


class QueueLogins:
    """Who is logged out of which queue; whoever is not is logged in."""

    def __init__(self) -> None:
        self._out: set[tuple[str, str]] = set()

    def logged_in(self, queue: str, extension: str) -> bool:
        """Whether this agent takes this queue's calls, as far as this login goes."""
        return (queue, extension) not in self._out

    def set(self, queue: str, extension: str, *, logged_in: bool) -> None:
        """Log an agent in to a queue, or out of it."""
        if logged_in:
            self._out.discard((queue, extension))
        else:
            self._out.add((queue, extension))


def takes_calls(user: Entity | None) -> bool:
    """Whether a user takes calls of queues: registered, enabled, logged in globally, profile Available."""
    return (
        user is not None
        and bool(user["IsRegistered"])
        and bool(user["Enabled"])
        and user["QueueStatus"] == "LoggedIn"
        and user["CurrentProfileName"] == "Available"
    )
