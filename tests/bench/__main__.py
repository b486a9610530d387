"""Run ``make bench`` and ``make bench-quick``."""

from __future__ import annotations

import sys

import uvloop

from gateway.cli.runtime import logging_setup
from tests.bench import full, quick

if __name__ == "__main__":
    logging_setup.configure("error", "human")
    uvloop.run(quick.run() if "--quick" in sys.argv[1:] else full.run(sys.argv[1:]))
