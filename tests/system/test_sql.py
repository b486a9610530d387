"""Test SQL as an integrator uses it: over HTTP, Redis and the monitor, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from pydantic import SecretStr

from monitor.config import DatabaseSection
from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from tests import pbx_database
from tests.bus import real_bus
from tests.postgres import Postgres, postgres
from tests.system.stack import KEY, gateway, monitoring

pytestmark = pytest.mark.asyncio(loop_scope="module")

EXAMPLE = (
    "select recording_url, cl_participants_id from recordings where recording_url like '101%';"
)


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(server: Postgres) -> AsyncIterator[httpx.AsyncClient]:
    await pbx_database.make(server)
    database = DatabaseSection(
        port=server.port,
        user=pbx_database.READER,
        password=SecretStr(pbx_database.PASSWORD),
        tls="off",
        timeout=4.0,
    )
    simulated = SimulatorSettings(extensions=12, queues=2, contacts=5, traffic=False)
    async with (
        SimulatedPbx(simulated) as pbx,
        real_bus() as bus,
        monitoring(pbx, bus.client(), database=database),
        gateway(bus.client(), scopes=frozenset({"read", "sql"})) as address,
        httpx.AsyncClient(base_url=f"{address}/webapi", timeout=60.0) as client,
    ):
        async with asyncio.timeout(60.0):
            while (await client.get("/all.ext.get", headers=_key())).status_code != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        yield client


def _key() -> dict[str, str]:
    return {"Authorization": f"Bearer {KEY}"}


async def ask(http: httpx.AsyncClient, sql: str, **given: Any) -> httpx.Response:
    return await http.post("/query", headers=_key(), json={"query": sql, **given})


async def test_the_documented_example(http: httpx.AsyncClient) -> None:
    answer = await ask(http, EXAMPLE, count=1)
    assert answer.status_code == 200
    assert answer.json() == {
        "count": 1,
        "rows": [
            {
                "recording_url": "101/[Smith, John]_101-7196403939_20260224201047(789).wav",
                "cl_participants_id": 11,
            }
        ],
    }


async def test_the_count_may_be_left_out_or_be_text_and_the_body_a_form(
    http: httpx.AsyncClient,
) -> None:
    sql = "select id from cl_participants order by id"
    assert (await ask(http, sql)).json()["count"] == 100
    assert (await ask(http, sql, count=0)).json()["count"] == 100
    assert (await ask(http, sql, count="3")).json()["rows"] == [{"id": 1}, {"id": 2}, {"id": 3}]
    by_form = await http.post(f"/{KEY}/query", data={"query": sql, "count": "2"})
    assert by_form.json() == {"count": 2, "rows": [{"id": 1}, {"id": 2}]}


@pytest.mark.parametrize(
    ("sql", "given", "code"),
    [
        ("delete from recordings", {}, "sql_not_a_query"),
        ("select 1; select 2", {}, "sql_not_a_query"),
        ("copy recordings to program 'id'", {}, "sql_not_a_query"),
        ("select nothing", {}, "sql_error"),
        ("select 1 \0", {}, "bad_parameter"),
        ("select txid_current()", {}, "sql_function_refused"),
        ("select pg_sleep(60)", {}, "sql_timeout"),
        ("select repeat('x', 20000000)", {}, "sql_function_refused"),
        (
            "select string_agg(repeat('x', 10000), '') from generate_series(1, 2000)",
            {},
            "sql_too_large",
        ),
        ("select 1", {"count": -1}, "bad_parameter"),
        ("select 1", {"count": "many"}, "bad_parameter"),
        ("select 1", {"limit": 1}, "unknown_parameter"),
    ],
)
async def test_a_refusal_is_said_in_words(
    http: httpx.AsyncClient, sql: str, given: dict[str, object], code: str
) -> None:
    answer = await ask(http, sql, **given)
    said = answer.json()
    assert (answer.status_code, said["result"], said["error"]["code"]) == (400, False, code)
    assert said["error"]["message"].endswith(".")


async def test_values_pass_unchanged_through_redis(http: httpx.AsyncClient) -> None:
    sql = (
        "select 12.5::numeric as price, null as nothing, array[1, 2] as list, 'Ж' as letter, "
        "timestamptz '2026-02-24 20:10:47+00' as moment, '{\"a\": [true]}'::jsonb as tree, "
        "9223372036854775807 as most"
    )
    assert (await ask(http, sql)).json()["rows"] == [
        {
            "price": 12.5,
            "nothing": None,
            "list": [1, 2],
            "letter": "Ж",
            "moment": "2026-02-24T20:10:47Z",
            "tree": {"a": [True]},
            "most": 9223372036854775807,
        }
    ]


@pytest.mark.parametrize("depth", [400, 401])
async def test_nested_json_is_read_or_told_as_text_by_every_program(
    http: httpx.AsyncClient, depth: int
) -> None:
    tree = "[" * depth + "]" * depth
    answer = await ask(http, f"select '{tree}'::jsonb as x")
    assert answer.status_code == 200
    assert answer.json()["rows"] == [{"x": json.loads(tree) if depth == 400 else tree}]


async def test_many_at_once_are_all_answered(http: httpx.AsyncClient) -> None:
    async def answered(number: int) -> object:
        while (answer := await ask(http, f"select {number} as n, pg_sleep(0.05)")).status_code in (
            503,
            504,
        ):
            assert answer.json()["error"]["code"] in ("too_late", "no_monitor", "busy"), (
                "nothing was done"
            )
        assert answer.status_code == 200, answer.text
        return answer.json()["rows"][0]["n"]

    assert await asyncio.gather(*(answered(number) for number in range(12))) == list(range(12))


async def test_a_role_that_comes_to_write_is_not_used_any_more(
    http: httpx.AsyncClient, server: Postgres
) -> None:
    await server.run(
        f"GRANT INSERT ON recordings TO {pbx_database.READER}", database=pbx_database.NAME
    )
    try:
        answer = await ask(http, "select 1")
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "sql_role_can_write")
    finally:
        await server.run(
            f"REVOKE INSERT ON recordings FROM {pbx_database.READER}", database=pbx_database.NAME
        )
    assert (await ask(http, "select 1")).status_code == 200


async def test_a_database_without_a_free_connection_is_busy(
    http: httpx.AsyncClient, server: Postgres
) -> None:
    await server.run(f"ALTER ROLE {pbx_database.READER} CONNECTION LIMIT 0")
    try:
        answer = await ask(http, "select 1")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "busy")
        assert "takes no more connections" in answer.json()["error"]["message"]
        assert int(answer.headers["Retry-After"]) > 0
    finally:
        await server.run(f"ALTER ROLE {pbx_database.READER} CONNECTION LIMIT 8")
    assert (await ask(http, "select 1")).status_code == 200
