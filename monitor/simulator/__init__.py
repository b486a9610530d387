"""Simulate a 3CX v20: token, Call Control with its WebSocket, XAPI, and a traffic generator."""
