"""Serve the simulated PBX's configuration API (XAPI)."""
