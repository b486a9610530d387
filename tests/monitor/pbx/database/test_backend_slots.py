"""Queries that PostgreSQL cannot stop: they take up some slots, and no more than these."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Set
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

import asyncpg
import pytest

from monitor.commands.executor import QUERIES_AT_ONCE
from monitor.pbx.database.backend_slots import (
    SLOTS,
    Backend,
    BackendSlots,
    application_name,
    listed_backends,
    own_and_foreign,
)
from monitor.pbx.database.bounded_connection import TooMuch
from monitor.pbx.database.client import Database, DatabaseSettings
from monitor.shared.errors import CommandRefused, PbxBusy, PbxUnreachable
from tests import pbx_database
from tests.pbx_database import ReadDatabase
from tests.postgres import Postgres, postgres

ENDLESS = (
    "with a(a) as (select string_agg(repeat('a', 10000), '') from generate_series(1, 1000)) "
    "select strpos(a || a, 'b' || a) from a"
)
"""Hours of one function, in which the server does not look at its clock."""
_OURS = "SELECT pid FROM pg_stat_activity WHERE usename = $1"
_STUCK = f"{_OURS} AND state = 'active' AND query LIKE 'FETCH%'"


def test_as_many_queries_are_begun_as_there_are_slots() -> None:
    assert QUERIES_AT_ONCE == SLOTS


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        (TimeoutError(), True),
        (asyncio.CancelledError(), True),
        (asyncpg.ConnectionDoesNotExistError("lost"), True),
        (asyncpg.InterfaceError("the underlying connection is closed"), True),
        (ConnectionResetError(), True),
        (asyncpg.QueryCanceledError("canceled"), False),
        (asyncpg.PostgresSyntaxError("syntax error"), False),
        (CommandRefused("sql_function_refused", "No."), False),
        (TooMuch(), False),
    ],
)
async def test_a_slot_is_kept_if_the_server_did_not_end_the_statement(
    error: BaseException, kept: bool
) -> None:
    async def all_of(backends: Set[Backend]) -> Set[Backend]:
        return backends

    slots = BackendSlots(all_of)
    for pid in range(SLOTS):
        await slots.wait_for_free()
        backend = Backend(pid, datetime.now(UTC))
        with pytest.raises(type(error)), slots.running(), slots.until_gone(backend):
            raise error
    if kept:
        with pytest.raises(PbxBusy):
            await slots.wait_for_free()
    else:
        await slots.wait_for_free()


async def test_slots_in_use_are_taken_and_ask_no_server() -> None:
    async def nobody(backends: Set[Backend]) -> Set[Backend]:
        raise AssertionError(backends)

    slots = BackendSlots(nobody)
    with ExitStack() as held:
        for _ in range(SLOTS):
            await slots.wait_for_free()
            held.enter_context(slots.running())
        with pytest.raises(PbxBusy):
            await slots.wait_for_free()
    await slots.wait_for_free()


async def test_a_process_that_came_while_the_server_was_asked_keeps_its_slot() -> None:
    first, second = (Backend(pid, datetime.now(UTC)) for pid in (1, 2))
    slots = BackendSlots(lambda _: gone_and_another())

    async def gone_and_another() -> Set[Backend]:
        leave(second)
        return frozenset()

    def leave(backend: Backend) -> None:
        with pytest.raises(TimeoutError), slots.running(), slots.until_gone(backend):
            raise TimeoutError

    leave(first)
    with ExitStack() as held:
        for _ in range(SLOTS - 1):
            held.enter_context(slots.running())
        with pytest.raises(PbxBusy):
            await slots.wait_for_free()


async def test_other_monitors_processes_take_slots_until_they_are_not_found() -> None:
    listed: set[Backend] = set()

    async def of_the_server(backends: Set[Backend]) -> Set[Backend]:
        return backends & listed

    foreign = {Backend(pid, datetime.now(UTC)) for pid in range(SLOTS)}
    slots = BackendSlots(of_the_server)
    await slots.wait_for_free()
    with slots.running(), pytest.raises(PbxBusy):
        slots.count_foreign(foreign)
    listed |= foreign
    with pytest.raises(PbxBusy):
        await slots.wait_for_free()
    listed.pop()
    await slots.wait_for_free()
    with slots.running():
        slots.count_foreign(listed)
        with pytest.raises(PbxBusy):
            await slots.wait_for_free()
        slots.count_foreign(frozenset())
        await slots.wait_for_free()


async def test_what_cannot_be_stopped_keeps_its_slot_until_it_is_gone() -> None:
    with postgres() as server:
        try:
            await _fill_and_empty(server)
        finally:
            server.process.send_signal(signal.SIGQUIT)  # it would wait for the endless ones


async def _fill_and_empty(server: Postgres) -> None:
    await pbx_database.make(server)
    settings = DatabaseSettings(
        "127.0.0.1",
        pbx_database.READER,
        pbx_database.PASSWORD,
        port=server.port,
        tls="off",
        timeout=30.0,
    )
    database = ReadDatabase(settings)
    admin = await server.admin()
    await _stick(database, admin, SLOTS - 1)
    assert (await database.answer("select 1", 0))["count"] == 1
    successor = ReadDatabase(settings)  # of the next leader
    assert (await successor.answer("select 1", 0))["count"] == 1
    await _stick(successor, admin, SLOTS)
    successor = ReadDatabase(settings)
    for _ in range(3):
        for each in (database, successor):
            with pytest.raises(PbxBusy, match="are still at work"):
                await each.answer("select 1", 0)
    assert "may only read" in await successor.check()
    while len(await admin.fetch(_OURS, pbx_database.READER)) > SLOTS:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    (victim, *_) = await admin.fetch(_OURS, pbx_database.READER)
    os.kill(victim[0], signal.SIGKILL)  # the server ends all its processes and starts anew
    for each in (database, successor):
        while True:
            try:
                assert (await each.answer("select 1", 0))["count"] == 1
            except PbxUnreachable:
                await asyncio.sleep(0.05)
            else:
                break
    admin.terminate()


async def _stick(database: ReadDatabase, admin: asyncpg.Connection, wanted: int) -> None:
    """Ask endless queries until so many of the server's processes are stuck in them."""
    patient = database._database._settings
    database._database._settings = replace(patient, timeout=1.0)
    while (missing := wanted - len(await admin.fetch(_STUCK, pbx_database.READER))) > 0:
        asked = [database.answer(ENDLESS, 0) for _ in range(missing)]
        for outcome in await asyncio.gather(*asked, return_exceptions=True):
            assert isinstance(outcome, CommandRefused), outcome
            assert outcome.code == "sql_timeout"
    database._database._settings = patient


@pytest.mark.asyncio(loop_scope="module")
async def test_a_statement_that_the_server_stops_keeps_no_slot(
    settings: DatabaseSettings,
) -> None:
    database = Database(replace(settings, timeout=0.2))
    for _ in range(SLOTS + 1):
        with pytest.raises(CommandRefused, match="took longer"):
            await database.answer("select pg_sleep(60)", 0)


@pytest.mark.asyncio(loop_scope="module")
async def test_another_process_with_the_same_pid_is_not_the_one(
    admin: asyncpg.Connection,
) -> None:
    own, _ = await own_and_foreign(admin)
    earlier = Backend(own.pid, own.started.replace(year=2000))
    assert await listed_backends(admin, {own, earlier}) == {own}


@pytest.mark.asyncio(loop_scope="module")
async def test_a_role_without_a_free_connection_is_busy(
    settings: DatabaseSettings, admin: asyncpg.Connection
) -> None:
    await admin.execute("CREATE ROLE narrow_door LOGIN PASSWORD 'x' CONNECTION LIMIT 0")
    try:
        with pytest.raises(PbxBusy, match="takes no more connections"):
            await Database(replace(settings, user="narrow_door", password="x")).check()
    finally:
        await admin.execute("DROP ROLE narrow_door")


@pytest.mark.parametrize(
    ("name", "foreign"),
    [
        ("callmon query 0123456789abcdef", True),
        ("callmon", True),
        ("callmon check", False),
        ("psql", False),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_the_names_of_connections_tell_other_monitors_statements(
    settings: DatabaseSettings, name: str, foreign: bool
) -> None:
    own_name = application_name()
    async with (
        connected(settings, own_name) as ours,
        connected(settings, own_name) as second,
        connected(settings, name) as other,
    ):
        own, found = await own_and_foreign(ours)
        pids = {backend.pid for backend in found}
        assert own.pid == ours.get_server_pid()
        assert second.get_server_pid() not in pids
        assert (other.get_server_pid() in pids) == foreign


@asynccontextmanager
async def connected(settings: DatabaseSettings, name: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(
        host=settings.host,
        port=settings.port,
        user=settings.user,
        password=pbx_database.PASSWORD,
        database=settings.name,
        ssl=False,
        server_settings={"application_name": name},
    )
    try:
        yield connection
    finally:
        await connection.close()
