"""Watches 3CX phone systems and publishes what changes."""
