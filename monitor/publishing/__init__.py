"""Write state and changes to Redis, guarded by the lease."""
