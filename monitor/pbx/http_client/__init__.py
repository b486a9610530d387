"""HTTP to the PBX: token, paging, errors."""
