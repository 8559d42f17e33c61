"""Emulators inside the codes of others; each file needs its host, and nothing imports it."""
