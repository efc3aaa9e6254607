"""The parts of a consumer; :mod:`chanx_testing.core.websocket` puts them together."""
