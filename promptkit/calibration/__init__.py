"""Calibration of label probabilities: methods, probes, and applying them."""
