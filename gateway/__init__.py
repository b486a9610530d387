"""Serve what the monitor publishes: queries, streams, pages."""
