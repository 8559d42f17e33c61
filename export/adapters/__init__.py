"""Emulators in other codes. Modules ``for_*`` import their hosts, and load on request only."""
