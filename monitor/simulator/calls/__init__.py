"""Run the simulated PBX's calls, show them as its APIs do, and tell what really happened."""
