"""What the gateway tells Prometheus: nothing is counted here, only read from what counts."""
