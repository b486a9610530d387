"""Connections to Redis, guarded transactions, key names."""
