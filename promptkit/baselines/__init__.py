"""Small models that scikit-learn trains on the pool, to compare prompts with."""
