"""Studies that support the project's choices and claims; each prints a table of the documents."""
