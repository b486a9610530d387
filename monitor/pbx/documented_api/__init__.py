"""Follow a system that speaks the documented interface: another callmon, or the product on an older 3CX."""
