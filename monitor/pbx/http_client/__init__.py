"""Send HTTP requests to the PBX: token, paging, errors."""
