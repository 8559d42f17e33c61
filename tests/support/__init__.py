"""What several test files need, by itself in files of its own."""
