"""Run ``make compare``: what callmon holds of many simulated calls, beside what people did."""

from __future__ import annotations

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial

from tests.comparison.report import SETTINGS, Result, compared, table


def main() -> int:
    """Play, print; 1 if anything is a fault."""
    parser = argparse.ArgumentParser(prog="tests.comparison", description=__doc__)
    parser.add_argument("--calls", type=int, default=10_000, help="calls under each setting")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="settings at once")
    parser.add_argument(
        "--only", action="append", choices=sorted(SETTINGS), help="play this setting alone"
    )
    given = parser.parse_args()
    names = given.only or list(SETTINGS)
    results: dict[str, Result] = {}
    say = partial(print, flush=True)
    with ProcessPoolExecutor(given.jobs) as pool:
        played = [pool.submit(compared, name, given.calls, given.seed) for name in names]
        for done in as_completed(played):
            result = done.result()
            results[result.setting] = result
            say(f"{result.setting}: {result.calls} calls, {len(result.faults)} kinds of faults")
    say("\n" + table([results[name] for name in names]))
    return 1 if any(result.faults for result in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
