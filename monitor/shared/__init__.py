"""All that the monitor and the gateway share: entities, codec, Redis, settings, errors."""
