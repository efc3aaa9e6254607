"""For FastAPI and other ASGI frameworks: consumers, channel layers, communicators."""
