"""Emulators inside the codes of others; ``for_*`` need their hosts, and nothing imports them."""
