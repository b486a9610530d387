"""The table of all documented operations, and those that plugins add."""
