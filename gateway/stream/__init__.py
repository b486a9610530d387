"""Serve the stream to clients, by WebSocket and by Server-Sent Events."""
