"""Collect the gateway's metrics, read on demand from the numbers that its parts keep.

The labels are names from the settings (``pbx``) and words of the program: topics, commands,
codes. No label has a key, a caller's number or a client's address.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, get_args

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from gateway.errors import OutcomeUnknown, all_shown
from gateway.metrics import replication
from gateway.metrics import stream as streaming
from gateway.rest.health import readiness
from monitor.shared.api_keys import Kind
from monitor.shared.metrics.metric_table import MetricTable, Sample

if TYPE_CHECKING:
    from gateway.auth.api_keys import KeyTable
    from gateway.auth.shared_rate_limiter import RateLimiter
    from gateway.counters import RequestCounters
    from gateway.pbx_context import PbxContext
    from gateway.rest.fast_path import QueryFastPath
    from gateway.stream.server import StreamServer

TABLE: Final = MetricTable(Path(__file__).with_name("metrics.json"))
"""All metrics of the gateway."""
_UNKNOWN = all_shown()[OutcomeUnknown]
_KINDS: tuple[Kind, ...] = get_args(Kind)


class GatewayCollector(Collector):
    """Collect the metrics of all PBXs that this process serves. ``clock``: POSIX seconds."""

    def __init__(
        self,
        pbxs: Mapping[str, PbxContext],
        keys: KeyTable,
        live: StreamServer,
        requests: RequestCounters,
        fast_path: QueryFastPath,
        rate_limiter: RateLimiter,
        clock: Callable[[], float],
    ) -> None:
        self._pbxs = pbxs
        self._keys = keys
        self._live = live
        self._requests = requests
        self._fast_path = fast_path
        self._rate_limiter = rate_limiter
        self._clock = clock

    def collect(self) -> Collection[Metric]:
        """Return all metrics as they are now."""
        return TABLE.families(self._samples())

    def _samples(self) -> Iterator[Sample]:
        state = readiness(self._pbxs, keys_loaded=self._keys.loaded, draining=self._live.draining)
        yield "callmon_gateway_ready", [], state.ready
        yield "callmon_gateway_keys_loaded", [], state.keys
        for name, health in state.pbxs.items():
            yield "callmon_gateway_followed", [name], health.followed
            if health.followed:
                yield "callmon_gateway_pbx_connected", [name], health.pbx and health.monitor
        now = self._clock()
        for name, pbx in self._pbxs.items():
            if not pbx.demand.followed:
                continue
            yield from replication.samples(name, "live", pbx.live, pbx.live_feed, now)
            yield from replication.samples(name, "book", pbx.book, pbx.book_feed, now)
            yield from streaming.samples(name, "live", pbx.hub)
            yield from streaming.samples(name, "book", pbx.book_hub)
            yield "callmon_gateway_query_watchers", [name], len(pbx.watches)
            yield "callmon_gateway_commands_waiting", [name], pbx.commander.waiting
        yield from streaming.connections(self._live)
        yield from self._answers()

    def _answers(self) -> Iterator[Sample]:
        unknown = 0
        for (command, result), count in self._requests.results.items():
            yield "callmon_gateway_requests", [command, result], count
            unknown += count if result == _UNKNOWN.code else 0
        for command, count in self._fast_path.answered.items():
            yield "callmon_gateway_requests", [command, "repeated"], count
        for command, histogram in self._requests.durations.items():
            yield "callmon_gateway_request_duration_seconds", [command], histogram
        yield "callmon_gateway_outcomes_unknown", [], unknown
        for kind in _KINDS:
            yield "callmon_gateway_budget_refusals", [kind], self._rate_limiter.refused[kind]
