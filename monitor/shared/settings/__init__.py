"""Read settings from file and environment, and say what is wrong with them."""
