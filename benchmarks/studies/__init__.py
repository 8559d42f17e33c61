"""What the project's choices and claims rest on: each prints a table of the documents."""
