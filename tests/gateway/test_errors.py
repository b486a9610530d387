"""The table of refusals: complete, and true to what its codes promise a client."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import pytest

from gateway import errors
from gateway.errors import (
    INTERNAL,
    BadParameter,
    BadRequest,
    CommandFailed,
    KeyRefused,
    NotReady,
    Refused,
    Shown,
    TooManyRequests,
    all_shown,
    shown,
)


def below(kind: type[Refused]) -> Iterator[type[Refused]]:
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from below(child)


ALL = list(dict.fromkeys(below(Refused)))
LEAVES = [kind for kind in ALL if not kind.__subclasses__() and not issubclass(kind, CommandFailed)]
TABLE = all_shown()


@pytest.mark.parametrize("kind", LEAVES)
def test_every_refusal_has_a_row_and_says_for_the_documents_what_it_means(
    kind: type[Refused],
) -> None:
    assert shown(kind("No.")) is not INTERNAL
    assert inspect.getdoc(kind)


def test_every_refusal_stands_in_the_tree_at_the_head() -> None:
    drawn = set(re.findall(r"\b[A-Z]\w+", (errors.__doc__ or "").partition("::")[2]))
    assert {kind.__name__ for kind in ALL} <= drawn


def test_a_code_means_one_thing() -> None:
    codes = [row.code for row in TABLE.values()]
    assert len(codes) == len(set(codes))
    assert all(re.fullmatch("[a-z][a-z_]*", code) for code in codes)


@pytest.mark.parametrize("kind", TABLE)
def test_a_close_code_tells_whether_to_come_back(kind: type[Refused]) -> None:
    """As the status does: later if nothing was done for now, else not unchanged."""
    row = TABLE[kind]
    assert row.close // 100 == (41 if row.status in (429, 503) else 40), row


@pytest.mark.parametrize(
    ("branch", "statuses"),
    [
        (BadRequest, {400, 405, 413, 415, 426}),
        (KeyRefused, {400, 401, 403}),
        (TooManyRequests, {429}),
        (NotReady, {503}),
    ],
)
def test_a_branch_of_the_tree_has_its_statuses(branch: type[Refused], statuses: set[int]) -> None:
    found = {row.status for kind, row in TABLE.items() if issubclass(kind, branch)}
    assert found <= statuses


def test_a_kind_without_a_row_has_that_of_the_nearest_above_it() -> None:
    class OfASite(BadParameter):
        """One that a site raises."""

    assert shown(OfASite("No.")) == TABLE[BadParameter]
    assert shown(Refused("No.")) == INTERNAL


def test_the_pbxs_own_refusal_brings_its_status_and_its_code() -> None:
    assert shown(CommandFailed(409, "already_exists", "No.")) == Shown(409, "already_exists", 4000)


def test_headers_are_each_refusals_own() -> None:
    given = {"Retry-After": "1"}
    one, other = TooManyRequests("No.", given), TooManyRequests("No.", given)
    one.headers["X"] = "y"
    assert other.headers == given == {"Retry-After": "1"}


@pytest.mark.parametrize("kind", [kind for kind in TABLE if issubclass(kind, NotReady)])
def test_who_is_to_come_back_is_told_when(kind: type[NotReady]) -> None:
    assert kind("No.").headers["Retry-After"] == "1"
