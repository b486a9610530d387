"""Pass what a leading monitor knows to the next one, through Redis."""
