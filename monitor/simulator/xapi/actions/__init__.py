"""Carry out functions and actions by topic."""
