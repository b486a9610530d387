"""Hold the table of all documented operations, and add those of plugins."""
