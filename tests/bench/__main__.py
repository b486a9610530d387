"""``make bench``: latency beside a bare Redis in the same run, and how far behind a subscriber is in a rush."""

from __future__ import annotations

import sys

import uvloop

from monitor import logs
from tests.bench import latency, rush


async def _run(*, quick: bool) -> None:
    await latency.run(50 if quick else 400)
    await rush.run(5 if quick else 20)


if __name__ == "__main__":
    logs.configure("error", "human")
    uvloop.run(_run(quick="--quick" in sys.argv[1:]))
