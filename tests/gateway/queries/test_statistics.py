"""The queries about the figures of the day."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.errors import KeyLimited, NoState, UnknownExtension, UnknownQueue
from gateway.parameters import NONE, Arguments
from gateway.queries import statistics
from gateway.queries.context import QueryContext
from gateway.visibility import EVERYTHING, Limits, Visibility
from tests.gateway import entities
from tests.gateway.world import LIMITS, asked

Query = Callable[[QueryContext], object]


def number(num: str) -> Arguments:
    return Arguments((("num", num),))


def test_each_has_its_own_figures() -> None:
    assert statistics.queue_stats(asked(arguments=number("800"))).num == "800"
    assert statistics.queue_stats(asked(arguments=number("801"))).num == "801"
    assert statistics.extension_stats(asked(arguments=number("99"))).num == "99"
    assert statistics.pbx_stats(asked()).calls == 68


@pytest.mark.parametrize(
    ("query", "num", "refusal"),
    [
        (statistics.queue_stats, "99", UnknownQueue),
        (statistics.queue_stats, "", UnknownQueue),
        (statistics.extension_stats, "800", UnknownExtension),
    ],
)
def test_what_there_is_not_has_none(query: Query, num: str, refusal: type[Exception]) -> None:
    with pytest.raises(refusal, match=f"'{num}'"):
        query(asked(arguments=number(num)))


def test_figures_of_what_has_been_deleted_are_not_told() -> None:
    live = entities.state_of(queuestats=[entities.queue_stats("800")])
    with pytest.raises(UnknownQueue):
        statistics.queue_stats(asked(live=live, arguments=number("800")))


@pytest.mark.parametrize(
    ("query", "arguments"),
    [
        (statistics.queue_stats, number("800")),
        (statistics.extension_stats, number("101")),
        (statistics.pbx_stats, NONE),
    ],
)
def test_before_anything_was_counted_it_is_said_so_and_no_zero_told(
    query: Query, arguments: Arguments
) -> None:
    live = entities.state_of(queues=[entities.queue("800")], extensions=[entities.extension("101")])
    with pytest.raises(NoState, match="Nothing of this day has been counted yet"):
        query(asked(live=live, arguments=arguments))


def test_a_limited_key_has_the_figures_of_what_it_sees() -> None:
    seen = Visibility(LIMITS)
    assert statistics.queue_stats(asked(visibility=seen, arguments=number("800"))).num == "800"
    with pytest.raises(UnknownQueue):
        statistics.queue_stats(asked(visibility=seen, arguments=number("801")))
    with pytest.raises(UnknownExtension):
        statistics.extension_stats(asked(visibility=seen, arguments=number("99")))


@pytest.mark.parametrize(
    "limits",
    [Limits(frozenset()), Limits(None, frozenset({"800"})), Limits(None, None, frozenset())],
)
def test_the_figures_of_the_whole_pbx_are_for_keys_that_see_all_of_it(limits: Limits) -> None:
    with pytest.raises(KeyLimited):
        statistics.pbx_stats(asked(visibility=Visibility(limits)))
    assert statistics.pbx_stats(asked(visibility=EVERYTHING)).calls == 68
