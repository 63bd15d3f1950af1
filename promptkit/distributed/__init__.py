"""Bulk prediction on more than one machine."""
