"""Describe what the XAPI serves: types, metadata, OpenAPI."""
