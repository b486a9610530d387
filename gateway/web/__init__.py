"""The pages for people: wallboard and start page."""
