"""Run long under load until everyone holds the truth: ``make soak``."""
