"""The simulated PBX's calls: what really happens, and what its APIs show of it."""
