"""Serve the pages for people: wallboard and start page."""
