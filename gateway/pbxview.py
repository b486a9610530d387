"""A PBX as the gateway sees it: what queries and streams of one PBX are answered from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.model.phonebook import PhoneIndex

if TYPE_CHECKING:
    from gateway.feed import Feed
    from gateway.hub import Hub
    from gateway.replica import Replica


@dataclass(slots=True)
class PbxView:
    """One PBX: its two spaces, each with a replica, the feed that moves it and the hub that tells subscribers.

    Whoever opens it runs feeds and hubs. The spaces have positions of their own: ``live`` all topics but contacts,
    ``book`` the contacts. ``phonebook`` finds the contacts of ``book``.
    """

    name: str
    live: Replica
    book: Replica
    live_feed: Feed
    book_feed: Feed
    hub: Hub
    book_hub: Hub
    phonebook: PhoneIndex
