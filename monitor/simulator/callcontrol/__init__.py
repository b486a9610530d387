"""Serve the simulated PBX's Call Control API."""
