"""Test Django Channels and ASGI WebSocket code without sleeping."""
