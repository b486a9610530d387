"""Hold what the metrics of monitor and gateway share."""
