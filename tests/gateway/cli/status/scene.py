"""A site at which all is live, as ``callmon status`` finds it; tests change one thing of it."""

from __future__ import annotations

from gateway.cli.status.conditions import (
    GatewayStatus,
    LastSeen,
    PbxStatus,
    RedisStatus,
    SiteStatus,
)
from monitor.shared.process_status import PbxRole
from monitor.shared.timestamps import moment

AT = "2026-03-04T08:15:30.250Z"
NOW = moment(AT).timestamp()
EARLIER = "2026-03-04T06:15:30.250Z"

SERVER = RedisStatus(
    "redis://127.0.0.1:6379", True, kind="Valkey", version="8.1", round_trip_ms=0.4,
    memory_bytes=3 * 1024 * 1024, memory_limit_bytes=0,
)  # fmt: skip
LEADER = LastSeen("first", 11, "1.2", EARLIER, leading_since=EARLIER)
PBX = PbxStatus(
    name="main",
    leader=LEADER,
    standbys=(LastSeen("second", 12, "1.2", EARLIER),),
    position="2-a/7",
    book_position="2-b/3",
    heartbeat=AT,
    heartbeat_age_s=0.5,
    silent=False,
    connection="connected",
    connection_since=EARLIER,
    version="20.0",
    fqdn="pbx.example",
    licence_limit=32,
    source="callcontrol",
    calls=3,
    extensions=12,
)
GATEWAY = GatewayStatus(
    LastSeen("left", 21, "1.2", EARLIER),
    "http://127.0.0.1:8080",
    None,
    2,
    {"main": PbxRole("serving", position="2-a/7", book_position="2-b/3", subscribers=2)},
)
SITE = SiteStatus("1.2", "/etc/callmon/callmon.toml", SERVER, (PBX,), (GATEWAY,))
SILENT = 99.0
"""Seconds without a report."""
