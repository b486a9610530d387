"""Collect the gateway's metrics, read on demand from the numbers that its parts keep.

The labels are names from the settings (``pbx``) and words of the program: topics, commands,
codes. No label has a key, a caller's number or a client's address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, get_args

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from gateway.errors import OutcomeUnknown, all_shown
from gateway.metrics import replication
from gateway.metrics import stream as streaming
from gateway.rest.health import readiness
from monitor.shared.api_keys import Kind

if TYPE_CHECKING:
    from gateway.auth.api_keys import KeyTable
    from gateway.auth.shared_rate_limiter import RateLimiter
    from gateway.counters import RequestCounters
    from gateway.pbx_context import PbxContext
    from gateway.rest.fast_path import QueryFastPath
    from gateway.stream.server import StreamServer

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

    def collect(self) -> Iterable[Metric]:
        """Yield all metrics as they are now."""
        yield from self._ready()
        yield from replication.collect(self._pbxs, self._clock())
        yield from streaming.collect(self._pbxs, self._live)
        yield from self._answers()

    def _ready(self) -> Iterator[Metric]:
        state = readiness(self._pbxs, keys_loaded=self._keys.loaded, draining=self._live.draining)
        yield GaugeMetricFamily(
            "callmon_gateway_ready", "1 if /readyz answers 200, else 0.", float(state.ready)
        )
        yield GaugeMetricFamily(
            "callmon_gateway_keys_loaded",
            "1 if all API keys are loaded, else 0.",
            float(state.keys),
        )
        connected = GaugeMetricFamily(
            "callmon_gateway_pbx_connected",
            "1 if the PBX is connected to a monitor, as far as this gateway knows, else 0.",
            labels=["pbx"],
        )
        for name, health in state.pbxs.items():
            connected.add_metric([name], float(health.pbx and health.monitor))
        yield connected

    def _answers(self) -> Iterator[Metric]:
        results = CounterMetricFamily(
            "callmon_gateway_requests",
            "Requests by command and result: ok, repeated (answered at once from what was "
            "answered before), or the "
            "error's code.",
            labels=["command", "result"],
        )
        durations = HistogramMetricFamily(
            "callmon_gateway_request_duration_seconds",
            "Seconds until the answer was ready; without repeated answers and without requests "
            "that asked to wait.",
            labels=["command"],
        )
        for (command, result), count in self._requests.results.items():
            results.add_metric([command, result], count)
        for command, count in self._fast_path.answered.items():
            results.add_metric([command, "repeated"], count)
        for command, histogram in self._requests.durations.items():
            durations.add_metric([command], histogram.buckets(), histogram.total)
        unknown = sum(
            count
            for (_, result), count in self._requests.results.items()
            if result == _UNKNOWN.code
        )
        yield CounterMetricFamily(
            "callmon_gateway_outcomes_unknown", "Commands whose outcome is not known.", unknown
        )
        refusals = CounterMetricFamily(
            "callmon_gateway_budget_refusals",
            "Requests refused because their key's budget was used up.",
            labels=["kind"],
        )
        for kind in _KINDS:
            refusals.add_metric([kind], self._rate_limiter.refused[kind])
        waiting = GaugeMetricFamily(
            "callmon_gateway_commands_waiting",
            "Commands that wait for their outcome.",
            labels=["pbx"],
        )
        for name, view in self._pbxs.items():
            waiting.add_metric([name], view.commander.waiting)
        yield from (results, durations, refusals, waiting)
