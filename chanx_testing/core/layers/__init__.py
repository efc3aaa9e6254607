"""Channel layers while a test runs."""
