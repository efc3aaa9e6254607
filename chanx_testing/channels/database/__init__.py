"""The database of a Django project while its consumers run in a test."""
