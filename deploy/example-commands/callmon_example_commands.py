"""A site's own commands: install this package beside callmon, and the gateway serves them.

``pip install deploy/example-commands`` and start the gateway again; then::

    /webapi/{key}/site.longest.get?num=800
    /webapi/{key}/site.callback?queue=800&number=5155550100
"""

from __future__ import annotations

from gateway.errors import CommandFailed, UnknownQueue
from gateway.operations.operation_table import Command, Run
from gateway.parameters import Arguments, Parameter
from gateway.queries.context import QueryContext
from monitor.shared.entities.topics import Queue


def longest(asked: QueryContext) -> dict[str, object]:
    """A function of the replica: who waits longest in a queue, in a shape of our own."""
    num = asked.arguments.text("num")
    queue = asked.one("queues", Queue, num)
    if queue is None:
        raise UnknownQueue(f"There is no queue {num}.")
    first = queue.waiting[0] if queue.waiting else None
    return {
        "queue": queue.name,
        "waiting": len(queue.waiting),
        "longest": None
        if first is None
        else {"number": first.num, "name": first.name, "since": first.since},
    }


async def callback(run: Run, arguments: Arguments) -> dict[str, object]:
    """A composition: have the first free agent of a queue call somebody back."""
    free = await run("queue.free.get", num=arguments.text("queue"))
    if not free["nums"]:
        raise CommandFailed(409, "nobody_free", "No agent of the queue is free.")
    agent = free["nums"][0]
    made = await run("makecall", first=agent, second=arguments.text("number"))
    return {"result": True, "agent": agent, "callid": made.get("callid")}


COMMANDS = (
    Command(
        "site.longest.get",
        "read",
        "who waits longest in the queue",
        (Parameter("num", "dn", "the queue's number", required=True, topic="queues"),),
        query=longest,
        methods=("GET", "HEAD", "POST"),
    ),
    Command(
        "site.callback",
        "control",
        "have a free agent of the queue call this number",
        (
            Parameter("queue", "dn", "the queue's number", required=True, topic="queues"),
            Parameter("number", "phone", "whom to call", required=True),
        ),
        composition=callback,
    ),
)
