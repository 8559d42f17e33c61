"""How good and how fast: labels and emulators against other codes, measured, never asserted."""
