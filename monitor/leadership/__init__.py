"""Contest the lease of a PBX, lead, stand by, step down."""
