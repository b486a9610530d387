"""Test what a PBX sent, in a file and back."""
