"""The smallest HTTP client there is: one GET, without a network."""

from asgiref.testing import ApplicationCommunicator


async def http_get(app, path, query=b""):
    """Return the status of a GET when the application is done with it."""
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "path": path,
        "query_string": query,
        "headers": [],
        "state": {},
    }
    server = ApplicationCommunicator(app, scope)
    await server.send_input({"type": "http.request", "body": b""})
    status = (await server.receive_output())["status"]
    await server.receive_output()
    await server.wait()
    return status
