"""Small Django apps for the tests."""
