"""Run ``python -m gateway``: the same as ``callmon``."""

from gateway.cli import main

main()
