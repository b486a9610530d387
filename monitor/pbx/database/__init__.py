"""Read the PBX's database with SQL, within bounds."""
