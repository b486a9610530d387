"""What the monitor tells Prometheus: nothing is counted here, only read from what counts."""
