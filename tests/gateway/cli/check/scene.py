"""What the tests of ``callmon check`` do with the simulated PBX."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from monitor.pbx.v20_client import PbxClient, PbxSettings
from monitor.simulator.server import SimulatedPbx

check: Any = importlib.import_module(
    "gateway.cli.check.command"
)  # the package's own name of it is the command


def monitored(pbx: SimulatedPbx) -> set[str]:
    return set(pbx.directory.peers(pbx.client_id))


def unmonitored(pbx: SimulatedPbx) -> set[str]:
    return set(pbx.directory.extensions()) - monitored(pbx)


@asynccontextmanager
async def client_of(pbx: SimulatedPbx) -> AsyncIterator[PbxClient]:
    client = PbxClient(
        PbxSettings(url=pbx.url, client_id=pbx.client_id, client_secret=pbx.client_secret)
    )
    try:
        yield client
    finally:
        await client.close()


async def said_of(settings: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What is said of the PBX; each thing wrong is counted, and no sentence ends twice."""
    code = await check.run(settings)
    lines = [line for line in capsys.readouterr().out.splitlines() if line]
    wrong = [line for line in lines if line.startswith("WRONG")]
    assert lines[-1].startswith(f"{len(wrong)} thing" if wrong else "All is well.")
    assert code == bool(wrong)
    assert [line for line in lines if ".." in line or ".:" in line] == []
    return [line for line in lines if "PBX main" in line]
