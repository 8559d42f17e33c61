"""Accuracy and speed of emulators, shipped or custom."""
