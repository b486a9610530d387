"""Addresses below the XAPI."""

from __future__ import annotations

import pytest

from monitor.simulator.xapi.odata.filter import ODataError
from monitor.simulator.xapi.paths import Segment, parse_path


@pytest.mark.parametrize(
    ("path", "segments"),
    [
        ("Users(29)/Groups", (Segment("Users", {"": 29}), Segment("Groups"))),
        ("Queues(Number='8''/0')", (Segment("Queues", {"Number": "8'/0"}),)),
        (
            "/Contacts/Pbx.F(a='x,y', b=true,c=null)/",
            (Segment("Contacts"), Segment("Pbx.F", {"a": "x,y", "b": True, "c": None})),
        ),
        ("Users/Pbx.F()", (Segment("Users"), Segment("Pbx.F", {}))),
        ("Users('a=b')", (Segment("Users", {"": "a=b"}),)),
    ],
)
def test_an_address_has_segments(path: str, segments: tuple[Segment, ...]) -> None:
    assert parse_path(path) == segments


@pytest.mark.parametrize("path", ["Users(x)", "Users('", "Us ers", "Users(1", "Users(Number=)"])
def test_a_wrong_address_is_an_error(path: str) -> None:
    with pytest.raises(ODataError):
        parse_path(path)
