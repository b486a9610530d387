"""Support a running monitor or gateway process: logging, metrics, liveness, workers, reload."""
