"""Hold the extensions, queues, trunks and contacts of the simulated PBX."""
