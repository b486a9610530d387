"""Follow a callmon gateway's stream: hold its state, exact at a position, and reconnect.

The same files are a distribution of their own, ``callmon-client`` (import ``callmon_client``): see
``pyproject.toml`` beside them. So they import each other relatively, the standard library,
``websockets``, and nothing else of callmon.
"""

from __future__ import annotations

from .client import (
    Connection,
    Entities,
    Kind,
    Status,
    StreamClient,
    StreamPosition,
    Subscription,
    SubscriptionId,
    Update,
)
from .codec import Encoding
from .connect import ProxyChoice, stream_url, tls_context
from .errors import StreamClientError, StreamMisconfigured, StreamRefused, StreamUnreachable

__all__ = [
    "Connection",
    "Encoding",
    "Entities",
    "Kind",
    "ProxyChoice",
    "Status",
    "StreamClient",
    "StreamClientError",
    "StreamMisconfigured",
    "StreamPosition",
    "StreamRefused",
    "StreamUnreachable",
    "Subscription",
    "SubscriptionId",
    "Update",
    "stream_url",
    "tls_context",
]
