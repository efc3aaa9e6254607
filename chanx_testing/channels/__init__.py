"""For Django Channels: consumers, authentication, routing, logins, test cases."""
