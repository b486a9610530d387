"""``make bench``: how long a change takes from the PBX to a subscriber, beside a bare Redis in the same run."""

from __future__ import annotations

import sys

import uvloop

from tests.bench import latency

if __name__ == "__main__":
    uvloop.run(latency.run(50 if "--quick" in sys.argv[1:] else 400))
