"""Run ``make soak``: a day, or as many minutes as asked for, with faults if asked for."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from gateway.cli.runtime import logging_setup
from tests.soak.day import Plan, run
from tests.soak.report import report


def main() -> None:
    """Play, print, and write the figures where asked."""
    usual = Plan()
    parser = argparse.ArgumentParser(prog="tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=usual.minutes)
    parser.add_argument("--subscribers", type=int, default=usual.subscribers)
    parser.add_argument("--rate", type=float, default=usual.rate, help="calls a minute")
    parser.add_argument(
        "--speed", type=float, default=usual.speed, help="how much faster than life people talk"
    )
    parser.add_argument(
        "--seed", type=int, default=usual.seed, help="of traffic, subscribers and faults"
    )
    parser.add_argument(
        "--faults", action="store_true", help="kill, stop, cut and delay things at random"
    )
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the figures here")
    given = parser.parse_args()
    plan = Plan(
        given.minutes, given.subscribers, given.seed, given.rate, given.speed, faults=given.faults
    )
    text = report(asyncio.run(run(plan)))
    print(text)
    if given.write is not None:
        given.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    logging_setup.configure("error", "human")
    main()
