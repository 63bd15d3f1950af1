"""Predictions to metrics, intervals, differences and sentences."""
