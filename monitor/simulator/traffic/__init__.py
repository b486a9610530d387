"""Make calls at the simulated PBX, as people would."""
