"""What the monitor and the gateway share, and all that they share.

Everything in this package is pure: values in, values out; no clock, no event loop, no I/O.
"""
