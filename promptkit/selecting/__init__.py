"""Which demonstrations a query sees, and in which order they stand."""
