"""Define the entities that clients can query or watch."""
