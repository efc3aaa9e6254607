"""The application's end of a connection: what a consumer is made of."""
