"""Training data for other tools, rendered by the task's own template."""
