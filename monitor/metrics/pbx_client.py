"""Sample the PBX's interface: requests, tokens, events, reads, clock, certificate."""

from __future__ import annotations

from collections.abc import Iterator

from monitor.pbx.counters import PbxCounters
from monitor.shared.metric_table import Sample


def samples(pbx: str, measures: PbxCounters) -> Iterator[Sample]:
    """Yield the samples of one PBX."""
    for (kind, result), count in measures.requests.items():
        yield "callmon_pbx_requests", [pbx, kind, result], count
    for kind, histogram in measures.durations.items():
        yield "callmon_pbx_request_duration_seconds", [pbx, kind], histogram
    # also those that never happened: an alert compares with before
    for event in ("minted", "denied", "revoked"):
        yield "callmon_pbx_tokens", [pbx, event], measures.tokens[event]
    for event in ("opened", "ended"):
        yield "callmon_pbx_event_sockets", [pbx, event], measures.sockets[event]
    for kind, count in measures.events.items():
        yield "callmon_pbx_events", [pbx, kind], count
    for what, count in measures.reads.items():
        yield "callmon_pbx_readings", [pbx, what], count
    clock = measures.clock
    ends = measures.certificate_ends
    yield "callmon_pbx_participants_waiting", [pbx], measures.waiting()
    yield "callmon_pbx_clock_offset_seconds", [pbx], clock.ahead_of_ours if clock else None
    yield "callmon_pbx_certificate_expiry_timestamp_seconds", [pbx], ends
