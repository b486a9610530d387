"""What a running monitor or gateway process has around it: logging, metrics, liveness, workers, reload."""
