"""Answer HTTP requests: queries, commands, long polls, health."""
