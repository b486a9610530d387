"""Decide who may ask: API keys, tickets, restrictions and rate limits."""
