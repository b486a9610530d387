"""Carry out commands that gateways ask for: claim, execute, record, reply."""
