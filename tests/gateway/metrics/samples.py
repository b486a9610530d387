"""Metrics as they are scraped."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import Metric

Labels = frozenset[tuple[str, str]]


def samples(metrics: Iterable[Metric]) -> dict[tuple[str, Labels], float]:
    """The value of each sample by its name and labels; none comes twice."""
    found = [
        ((sample.name, frozenset(sample.labels.items())), sample.value)
        for family in metrics
        for sample in family.samples
    ]
    by_name = dict(found)
    assert len(by_name) == len(found)
    return by_name


def labels(**given: str) -> Labels:
    return frozenset(given.items())
