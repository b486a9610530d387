"""Collect the monitor's metrics for Prometheus: read what other modules count, count nothing."""
