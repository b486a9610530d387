"""Watch 3CX phone systems and publish what changes."""
