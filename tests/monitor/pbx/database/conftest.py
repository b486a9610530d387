"""A real PostgreSQL with a PBX's database, once for each file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
import pytest_asyncio

from monitor.pbx.database.client import DatabaseSettings
from tests import pbx_database
from tests.pbx_database import ReadDatabase
from tests.postgres import Postgres, postgres


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres("log_min_messages=error") as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def settings(server: Postgres) -> DatabaseSettings:
    """As callmon is to be let in."""
    await pbx_database.make(server)
    return DatabaseSettings(
        host="127.0.0.1",
        port=server.port,
        user=pbx_database.READER,
        password=pbx_database.PASSWORD,
        tls="off",
        timeout=30.0,
    )


@pytest.fixture(scope="module")
def database(settings: DatabaseSettings) -> ReadDatabase:
    return ReadDatabase(settings)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def admin(server: Postgres, settings: DatabaseSettings) -> AsyncIterator[asyncpg.Connection]:
    connection = await server.admin(settings.name)
    yield connection
    await connection.close()
