"""Read the configuration API (XAPI): directory and active calls."""
