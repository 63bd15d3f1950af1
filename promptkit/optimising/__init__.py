"""Demonstrations found by search on a part of the pool: what it will cost, and the search."""
