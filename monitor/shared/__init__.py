"""Hold what the monitor and the gateway share: entities, codec, Redis, settings, errors."""
