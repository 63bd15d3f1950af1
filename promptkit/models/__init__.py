"""The only rooms that know a runtime."""
