"""Commands that replace those of Django."""
