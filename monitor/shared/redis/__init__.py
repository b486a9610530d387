"""Connect to Redis, run guarded transactions there, and name the keys."""
