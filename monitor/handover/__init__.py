"""What a leading monitor leaves on Redis for the next one."""
