"""Prediction of rows however many they are: streamed in, resumable, whole or not there."""
