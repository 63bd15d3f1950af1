"""Model files: found, verified, and prepared to run fast on this machine."""
