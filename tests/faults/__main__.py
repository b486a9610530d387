"""Run ``make soak-monitors``: random mixtures of faults, and a table of the results."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.mixture import AGREED_WITHIN_S
from tests.faults.report import table
from tests.faults.running import Run


def main() -> int:
    """Play, print; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="tests.faults", description=__doc__)
    parser.add_argument("--mixtures", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--only", type=int, action="append", metavar="N", help="play this mixture of the seed alone"
    )
    parser.add_argument(
        "--per-site", type=int, default=5, help="mixtures that one site lives through"
    )
    parser.add_argument("--jobs", type=int, default=1, help="sites at the same time")
    parser.add_argument(
        "--patience",
        type=float,
        default=AGREED_WITHIN_S,
        help="seconds for what is told to become what was counted",
    )
    parser.add_argument(
        "--keep", type=Path, metavar="DIRECTORY", help="of failures' logs; else a temporary one"
    )
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the table here")
    given = parser.parse_args()
    keep = given.keep or Path(tempfile.mkdtemp(prefix="callmon-faults-"))
    numbers = given.only or range(given.mixtures)
    run = Run(given.seed, iter(numbers), given.per_site, keep, _say, given.patience)
    begun = time.monotonic()
    asyncio.run(run.play(given.jobs))
    text = table(run.outcomes, time.monotonic() - begun, full_disks="disk full" in run.kinds)
    _say(text)
    if given.write is not None:
        given.write.write_text(text, encoding="utf-8")
    return 1 if any(outcome.failed for outcome in run.outcomes) else 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
