"""Speak the web client's own protocol, for what no API of the PBX tells."""
