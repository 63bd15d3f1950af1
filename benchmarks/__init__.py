"""Costs of promptkit, measured beside its peers: `make bench`."""
