"""``callmon check``: try settings, PBX, Redis and files, and say what is wrong."""
