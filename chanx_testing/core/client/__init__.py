"""The client's side of a WebSocket, for tests: what a communicator is made of."""
