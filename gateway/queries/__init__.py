"""The documented queries. Pure: what is asked in, the documented answer out, with the documented names and order."""
