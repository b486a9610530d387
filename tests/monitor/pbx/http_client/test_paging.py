from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.pbx.http_client.paging import read_all
from monitor.shared.errors import PbxGarbled, PbxRefused


class Collection:
    """An OData collection with a server page cap; before each page rows may come and go."""

    def __init__(self, ids: list[int], cap: int | None, counts: bool = True) -> None:
        self.ids, self.cap, self.counts = set(ids), cap, counts
        self.script: list[tuple[set[int], set[int]]] = []
        self.asked: list[dict[str, str]] = []

    async def fetch(self, query: Mapping[str, str]) -> Any:
        self.asked.append(dict(query))
        if self.script:
            gone, come = self.script.pop(0)
            self.ids = (self.ids - gone) | come
        skip, top = int(query.get("$skip", "0")), int(query.get("$top", "100000"))
        rows = sorted(self.ids)[skip : skip + min(top, self.cap or top)]
        answer: dict[str, Any] = {"value": [{"Id": id_} for id_ in rows]}
        if self.counts:
            answer["@odata.count"] = len(self.ids)
        return answer


def ids(rows: list[dict[str, Any]]) -> list[int]:
    return [row["Id"] for row in rows]


@given(
    st.integers(0, 60),
    st.one_of(st.none(), st.integers(1, 70)),
    st.one_of(st.none(), st.integers(1, 70)),
    st.booleans(),
)
async def test_any_cap_and_page_size_gives_every_row_once(
    rows: int, cap: int | None, top: int | None, counts: bool
) -> None:
    collection = Collection(list(range(rows)), cap, counts)
    assert ids(await read_all(collection.fetch, {}, top)) == list(range(rows))


@given(
    st.integers(1, 40),
    st.integers(2, 9),
    st.lists(st.tuples(st.sets(st.integers(0, 39)), st.sets(st.integers(0, 60))), max_size=8),
)
async def test_rows_that_come_and_go_between_pages_cost_no_other_row(
    rows: int, top: int, script: list[tuple[set[int], set[int]]]
) -> None:
    collection = Collection(list(range(rows)), None)
    collection.script = [(gone, {id_ for id_ in come if id_ >= 40}) for gone, come in script]
    touched = {id_ for gone, _ in collection.script for id_ in gone}
    found = ids(await read_all(collection.fetch, {}, top))
    assert found == sorted(set(found)), "in order, none twice"
    assert set(range(rows)) - touched <= set(found), "every row that was there all the time"


async def test_a_row_deleted_before_the_next_page_does_not_hide_one_behind_it() -> None:
    collection = Collection(list(range(10)), None)
    collection.script = [(set(), set()), ({0, 1, 2}, set())]
    assert ids(await read_all(collection.fetch, {}, 4)) == list(range(10))


@given(st.permutations(range(25)), st.integers(2, 9), st.booleans())
async def test_a_server_with_an_order_of_its_own_gives_every_row(
    order: list[int], top: int, counts: bool
) -> None:
    async def fetch(query: Mapping[str, str]) -> Any:
        skip = int(query.get("$skip", "0"))
        answer: dict[str, Any] = {"value": [{"Id": id_} for id_ in order[skip : skip + top]]}
        return answer | ({"@odata.count": 25} if counts else {})

    assert ids(await read_all(fetch, {}, top)) == list(range(25))


@pytest.mark.parametrize("count", [0, 3, 4])
async def test_a_count_of_less_than_all_rows_hides_none_where_a_link_tells_of_more(
    count: int,
) -> None:
    async def fetch(query: Mapping[str, str]) -> Any:
        skip = int(query.get("$skip", "0"))
        answer = {"value": [{"Id": id_} for id_ in range(10)][skip : skip + 4]}
        link = {"@odata.nextLink": "http://internal/"} if skip + 4 < 10 else {}
        return {"@odata.count": count} | answer | link

    assert ids(await read_all(fetch, {}, 4)) == list(range(10))


async def test_a_page_of_rows_without_ids_hides_none_behind_it() -> None:
    listed = [{"Id": 1}, *[{"Name": f"{n}"} for n in range(9)], {"Id": 1}, {"Id": 2}]

    async def fetch(query: Mapping[str, str]) -> Any:
        skip = int(query.get("$skip", "0"))
        return {"value": listed[skip : skip + 4], "@odata.count": len(listed)}

    assert ids(await read_all(fetch, {}, 4)) == [1, 2]


async def test_one_page_that_has_everything_is_one_request() -> None:
    collection = Collection(list(range(50)), None)
    await read_all(collection.fetch, {"$select": "Id"}, 100)
    assert collection.asked == [
        {"$select": "Id", "$orderby": "Id", "$count": "true", "$top": "100"}
    ]


async def test_a_refusal_is_passed_on() -> None:
    async def fetch(query: Mapping[str, str]) -> Any:
        raise PbxRefused("no", 403)

    with pytest.raises(PbxRefused):
        await read_all(fetch, {})


@pytest.mark.parametrize("answer", [None, [], {}, {"value": 1}, {"value": [{"Name": "x"}]}])
async def test_an_answer_that_is_no_collection_is_garbled(answer: Any) -> None:
    async def fetch(query: Mapping[str, str]) -> Any:
        return answer

    with pytest.raises(PbxGarbled):
        await read_all(fetch, {})


async def test_a_server_that_ignores_skip_does_not_keep_us_for_ever() -> None:
    async def fetch(query: Mapping[str, str]) -> Any:
        return {"value": [{"Id": 1}, {"Id": 2}], "@odata.count": 100}

    assert ids(await read_all(fetch, {})) == [1, 2]
