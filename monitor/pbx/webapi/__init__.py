"""Follow a service with the documented interface: another callmon, or the product on older 3CX."""
