"""A small chat, and how it is tested."""
