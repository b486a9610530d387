"""Read-only SQL on the PBX's database, within bounds."""
