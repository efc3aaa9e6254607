"""Which consumer answers a path, read off the application without calling it."""
