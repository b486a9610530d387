"""Tell Prometheus what the gateway counts: nothing is counted here, only read."""
