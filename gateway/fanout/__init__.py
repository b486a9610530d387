"""Deliver each change to every subscriber whose view it touches."""
