"""The simulated PBX's extensions, queues, trunks and contacts."""
