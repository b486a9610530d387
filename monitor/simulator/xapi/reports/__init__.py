"""Report on past calls, from what the simulated PBX really did."""
