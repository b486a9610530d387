"""Keep in the monitor's own file what must outlive Redis."""
