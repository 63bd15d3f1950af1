"""Checks of a task's templates, labels and examples, before any model runs: `promptkit lint`."""
