"""Long runs under load, which end with everyone holding the truth: ``make soak``."""
