"""Send commands to the leading monitor over Redis, and wait for their outcome."""
