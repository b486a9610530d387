"""Record what a PBX sends, with people's names and numbers hidden, and play it back as a PBX."""
