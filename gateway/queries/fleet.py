"""Answer the query about all PBXs of a key. Pure."""

from __future__ import annotations

from msgspec import Struct

from gateway.queries.context import QueryContext
from monitor.shared.entities.pbx_summary import PbxSummary


class AllPbxs(Struct, frozen=True):
    """The answer of ``all.pbx.get``."""

    count: int
    pbxs: tuple[PbxSummary, ...]


def all_pbxs(asked: QueryContext) -> AllPbxs:
    """Return the PBXs of the key in short, sorted by name (``all.pbx.get``)."""
    pbxs = tuple(sorted(asked.all("pbxs", PbxSummary), key=lambda pbx: pbx.name))
    return AllPbxs(len(pbxs), pbxs)
