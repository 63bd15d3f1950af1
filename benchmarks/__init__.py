"""What promptkit costs, measured beside its peers: `make bench`."""
