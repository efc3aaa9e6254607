"""Rooms, messages, presence, notifications, an assistant."""
