"""Fits of measured galaxies, and posteriors of mock data."""
