"""Follow the monitor on Redis and hold its state: Redis → replica."""
