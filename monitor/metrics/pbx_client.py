"""Collect metrics of the PBX's interface: requests, tokens, events, reads, clock, certificate."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from monitor.pbx.counters import PbxCounters

_TOKENS = ("minted", "denied", "revoked")
_SOCKETS = ("opened", "ended")


def collect(pbxs: Collection[tuple[str, PbxCounters]]) -> Iterator[Metric]:
    """Yield the metrics of all these PBXs. ``pbxs``: name and counters of each."""
    yield from _requests(pbxs)
    yield from _counted(pbxs)
    yield from _known(pbxs)


def _requests(pbxs: Collection[tuple[str, PbxCounters]]) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "callmon_pbx_requests",
        "Requests to the PBX: ok, refused (4xx), failed (5xx) or unreachable (no answer).",
        labels=["pbx", "kind", "result"],
    )
    durations = HistogramMetricFamily(
        "callmon_pbx_request_duration_seconds",
        "Seconds until the PBX answered.",
        labels=["pbx", "kind"],
    )
    for pbx, counters in pbxs:
        for (kind, result), count in counters.requests.items():
            requests.add_metric([pbx, kind, result], count)
        for kind, histogram in counters.durations.items():
            durations.add_metric([pbx, kind], histogram.buckets(), histogram.total)
    yield from (requests, durations)


def _counted(pbxs: Collection[tuple[str, PbxCounters]]) -> Iterator[Metric]:
    tokens = CounterMetricFamily(
        "callmon_pbx_tokens",
        "Tokens issued, denied by the PBX, or revoked by it early.",
        labels=["pbx", "event"],
    )
    sockets = CounterMetricFamily(
        "callmon_pbx_event_sockets",
        "Event sockets that were opened, and that ended.",
        labels=["pbx", "event"],
    )
    events = CounterMetricFamily(
        "callmon_pbx_events", "Events heard, by kind.", labels=["pbx", "kind"]
    )
    reads = CounterMetricFamily(
        "callmon_pbx_readings",
        "Full reads of participants, active calls, directory …",
        labels=["pbx", "what"],
    )
    for pbx, counters in pbxs:
        for event in _TOKENS:  # also those that never happened: an alert compares with before
            tokens.add_metric([pbx, event], counters.tokens[event])
        for event in _SOCKETS:
            sockets.add_metric([pbx, event], counters.sockets[event])
        for kind, count in counters.events.items():
            events.add_metric([pbx, kind], count)
        for what, count in counters.reads.items():
            reads.add_metric([pbx, what], count)
    yield from (tokens, sockets, events, reads)


def _known(pbxs: Collection[tuple[str, PbxCounters]]) -> Iterator[Metric]:
    waiting = GaugeMetricFamily(
        "callmon_pbx_participants_waiting",
        "Participants that have an event and are not read yet.",
        labels=["pbx"],
    )
    offset = GaugeMetricFamily(
        "callmon_pbx_clock_offset_seconds",
        "Seconds that the PBX's clock is ahead of the monitor's.",
        labels=["pbx"],
    )
    certificate = GaugeMetricFamily(
        "callmon_pbx_certificate_expiry_timestamp_seconds",
        "Time at which the PBX's certificate expires: the last one it showed, if it was checked.",
        labels=["pbx"],
    )
    for pbx, counters in pbxs:
        waiting.add_metric([pbx], counters.waiting())
        if counters.clock is not None and (ahead := counters.clock.ahead_of_ours) is not None:
            offset.add_metric([pbx], ahead)
        if counters.certificate_ends is not None:
            certificate.add_metric([pbx], counters.certificate_ends)
    yield from (waiting, offset, certificate)
