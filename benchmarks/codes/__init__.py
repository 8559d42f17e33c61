"""Other implementations of the halo model, and forms of the emulators: values and times."""
