"""Limit what a connection takes of time and bytes, in uvicorn's protocols; count connections."""
