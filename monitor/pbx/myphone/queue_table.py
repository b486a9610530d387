"""Hold what the PBX has told of its queues in one session, message by message. Pure.

A message has all queues, or only what changed: a changed queue may have its id and its figures
alone, a changed agent its id and its login alone. What a message leaves out stays as it was. Public
programs do not agree by which number a message says that it is whole, so that number removes
nothing. An entry that is marked as deleted does, and an answer to our own question, if it has the
form of a whole one. So an agent that is not an agent any more may stay here for a while; readers
look up those that the directory names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from monitor.myphone_messages import (
    MAX_AGENTS,
    MAX_QUEUES,
    Action,
    AgentEntry,
    NotAMessage,
    QueueEntry,
    QueuesUpdate,
)


@dataclass(slots=True)
class _KnownQueue:
    number: str = ""
    logins: dict[str, bool] = field(default_factory=dict)
    extensions: dict[int, str] = field(default_factory=dict)
    figures: Mapping[str, float] | None = None


class QueueTable:
    """Hold the logins and figures of all queues that were told."""

    def __init__(self) -> None:
        self._queues: dict[int | str, _KnownQueue] = {}

    @property
    def logins(self) -> dict[str, dict[str, bool]]:
        """Return queue's number → agent's extension → True if the agent is logged in to it."""
        return {queue.number: dict(queue.logins) for queue in self._queues.values() if queue.number}

    @property
    def figures(self) -> dict[str, Mapping[str, float]]:
        """Return queue's number → name → the PBX's own figure, where the PBX tells them."""
        return {
            queue.number: queue.figures
            for queue in self._queues.values()
            if queue.number and queue.figures is not None
        }

    def apply(self, update: QueuesUpdate, *, replace: bool = False) -> None:
        """Take in one message. Raises NotAMessage and forgets everything if that is too much.

        ``replace``: True for an answer; if it is whole, nothing else stays.
        """
        if replace and is_whole(update):
            self._queues.clear()
        for entry in update.queues:
            key = entry.id or entry.number
            if entry.action == Action.DELETED:
                self._queues.pop(key, None)
            elif key:
                _merge(self._queues.setdefault(key, _KnownQueue()), entry)
        agents = sum(
            max(len(queue.logins), len(queue.extensions)) for queue in self._queues.values()
        )
        if len(self._queues) > MAX_QUEUES or agents > MAX_AGENTS:
            self._queues.clear()
            raise NotAMessage(f"more than {MAX_QUEUES} queues or {MAX_AGENTS} agents in all")


def is_whole(update: QueuesUpdate) -> bool:
    """Return whether a message has the form of one that has all queues with all agents."""
    return not update.queues or any(
        entry.number and entry.agents is not None and all(agent.extension for agent in entry.agents)
        for entry in update.queues
    )


def _merge(queue: _KnownQueue, entry: QueueEntry) -> None:
    queue.number = entry.number or queue.number
    if entry.figures is not None:
        queue.figures = {**(queue.figures or {}), **entry.figures}
    for agent in entry.agents or ():
        _merge_agent(queue, agent)


def _merge_agent(queue: _KnownQueue, agent: AgentEntry) -> None:
    extension = agent.extension or queue.extensions.get(agent.id, "")
    if not extension:
        return
    if agent.action == Action.DELETED:
        queue.logins.pop(extension, None)
        queue.extensions.pop(agent.id, None)
        return
    if agent.id:
        queue.extensions[agent.id] = extension
    if agent.logged_in is not None or agent.extension:
        queue.logins[extension] = bool(agent.logged_in)
