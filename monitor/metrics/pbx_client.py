"""Sample the PBX's interface: requests, tokens, events, reads, clock, certificate."""

from __future__ import annotations

from collections.abc import Iterator

from monitor.pbx.counters import PbxCounters
from monitor.shared.metrics.metric_table import Sample


def samples(pbx: str, counters: PbxCounters) -> Iterator[Sample]:
    """Yield the samples of one PBX."""
    for (kind, result), count in counters.requests.items():
        yield "callmon_pbx_requests", [pbx, kind, result], count
    for kind, histogram in counters.durations.items():
        yield "callmon_pbx_request_duration_seconds", [pbx, kind], histogram
    # also those that never happened: an alert compares with before
    for event in ("minted", "denied", "revoked"):
        yield "callmon_pbx_tokens", [pbx, event], counters.tokens[event]
    for event in ("opened", "ended"):
        yield "callmon_pbx_event_sockets", [pbx, event], counters.sockets[event]
    for kind, count in counters.events.items():
        yield "callmon_pbx_events", [pbx, kind], count
    for what, count in counters.reads.items():
        yield "callmon_pbx_readings", [pbx, what], count
    clock = counters.clock
    ends = counters.certificate_ends
    yield "callmon_pbx_participants_waiting", [pbx], counters.waiting()
    yield "callmon_pbx_clock_offset_seconds", [pbx], clock.ahead_of_ours if clock else None
    yield "callmon_pbx_certificate_expiry_timestamp_seconds", [pbx], ends
