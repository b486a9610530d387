"""Make metric families for Prometheus out of samples, by a table of all metrics of a program."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import msgspec
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from monitor.shared.metrics.histogram import Histogram

Sample: TypeAlias = tuple[str, Iterable[str], float | Histogram | None]
"""Metric's name, values of its labels, value. None: not known, so there is no sample."""

_FAMILIES: Final[Mapping[str, Any]] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
}


class MetricTable:
    """Hold the names of all metrics with their types, labels and helps.

    ``file`` is JSON: ``{"name": ["gauge", "label label …", "Help."], …}``.
    """

    def __init__(self, file: Path) -> None:
        kind = tuple[Literal["counter", "gauge", "histogram"], str, str]
        self._rows = msgspec.json.decode(file.read_bytes(), type=dict[str, kind])

    def families(self, samples: Iterable[Sample]) -> Collection[Metric]:
        """Return all families in the table's order, also those without samples.

        Raises KeyError for a name that is not in the table.
        """
        families = {
            name: _FAMILIES[kind](name, text, labels=labels.split())
            for name, (kind, labels, text) in self._rows.items()
        }
        for name, labels, value in samples:
            if isinstance(value, Histogram):
                families[name].add_metric(labels, value.buckets(), value.total)
            elif value is not None:
                families[name].add_metric(labels, value)
        return families.values()
