"""Ask a served gateway all that its OpenAPI document allows, and more, with Schemathesis."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import uvicorn
from structlog.testing import capture_logs

from gateway.app import create_app
from gateway.operations.operation_table import COMMANDS, Command
from monitor.shared.http_server import EmbeddedServer, bind
from tests.examples import FUZZ
from tests.gateway.world import FULL, NOW, keys, view

CONFIG = f"""
[auth.openapi]
bearer = {{ bearer = "{FULL}" }}
header = {{ api_key = "{FULL}" }}
query = {{ api_key = "{FULL}" }}

[parameters]
"path.key" = "{FULL}"
"header.Callmon-Min-Position" = "000000000000001-aa/5"

[generation]
deterministic = true
"""
"""A position that was not reached is answered with 504, and rightly: so one that was is given."""

WITHOUT_A_MONITOR = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "4xx", 503]

[[operations]]
include-operation-id = "get_ext_options_set"
[operations.checks.positive_data_acceptance]
enabled = false
"""
"""Nobody is there to carry a command out, which is 503.

That one of several parameters is needed cannot be said of a query string in OpenAPI.
"""


def some(commands: Iterable[Command]) -> list[str]:
    """Names of one command for every other set of parameters; in ``make fuzz`` those of all."""
    first: dict[object, str] = {}
    for command in commands:
        taken = frozenset(parameter.name for parameter in command.parameters)
        first.setdefault(command.name if FUZZ else taken, command.name)
    return [re.escape(name) for name in [*first.values()][:: 1 if FUZZ else 2]]


QUERIES = some(command for command in COMMANDS.values() if command.query)
CHANGES = some(command for command in COMMANDS.values() if not command.query)


async def test_schemathesis_finds_nothing_wrong_with_the_queries(tmp_path: Path) -> None:
    said = await examined(
        tmp_path,
        CONFIG,
        f"^(/webapi/({{key}}/)?({'|'.join(QUERIES)}|)|/healthz|/readyz)$",
        "examples,coverage,fuzzing",
    )
    assert "No issues found" in said, said


async def test_schemathesis_finds_nothing_wrong_with_what_commands_take(tmp_path: Path) -> None:
    said = await examined(
        tmp_path, CONFIG + WITHOUT_A_MONITOR, f"^/webapi/({'|'.join(CHANGES)})$", "coverage"
    )
    assert "No issues found" in said, said


async def examined(where: Path, config: str, paths: str, phases: str) -> str:
    """What it says after all its checks of the operations at these paths."""
    (where / "schemathesis.toml").write_text(config)
    app = create_app({"main": view()}, keys(), clock=lambda: NOW)
    options = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none")
    server = EmbeddedServer(options, bind("127.0.0.1", 0))
    await server.start()
    try:
        with capture_logs():  # thousands of lines
            return await run(where, f"{server.address}/openapi.json", paths, phases)
    finally:
        await server.stop()


async def run(where: Path, url: str, paths: str, phases: str) -> str:
    arguments = ["run", url, "--phases", phases, "--include-path-regex", paths]
    arguments += ["--max-examples", "1", "--seed", "1", "--workers", "1", "--no-color"]
    arguments += ["--suppress-health-check", "all", "--request-timeout", "60"]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "schemathesis.cli",
        *arguments,
        cwd=where,
        env={**os.environ, "NO_COLOR": "1", "SCHEMATHESIS_HOOKS": ""},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return said.decode(errors="replace")
