"""Gates: whether predictions are good enough, decided by intervals."""
