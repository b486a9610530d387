"""Run ``callmon check``: test settings, PBX, Redis and files, and say what is wrong."""
