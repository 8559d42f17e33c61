"""The emulators: networks, their scalings, and their training with Lightning."""
