"""Renders a comparison, given as plain JSON values; computes nothing."""
