"""The simulated PBX's Call Control API."""
