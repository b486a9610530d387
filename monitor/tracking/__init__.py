"""Make calls and their state out of what the PBX tells. Pure."""
