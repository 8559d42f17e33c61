"""From data to parameters: fits of measured galaxies, and posteriors of mock ones."""
