"""Answer the documented queries with the documented names, in the documented order. Pure."""
