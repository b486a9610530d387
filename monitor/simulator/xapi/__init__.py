"""The simulated PBX's configuration API (XAPI)."""
