"""Settings: what is common, for development, for tests."""
