"""The batches that score prompts, with every shared token decoded once."""
