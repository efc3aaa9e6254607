"""User models of many shapes, and an object to have permission for."""
