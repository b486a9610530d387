"""Read the status of all processes from Redis and show it."""
