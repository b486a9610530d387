"""Parse what the PBX sends. Pure: bytes and JSON in, facts out."""
