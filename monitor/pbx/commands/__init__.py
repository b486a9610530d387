"""Execute documented commands at the PBX and read back what they changed."""
