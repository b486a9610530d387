"""``callmon status``: read from Redis how all processes are, and show it."""
