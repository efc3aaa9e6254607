"""Consumers that are not ours, each from its released package, unchanged."""
