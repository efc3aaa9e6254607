"""Clients of servers, and whom what a server sends would reach.

One process cannot know what a server is going to send. It need not, where nobody is
there to notice: what comes over a connection that no task reads, and that no callback
was registered for, stays in the buffer of its client, and nothing of the application
runs. So each module here reads from the state of one kind of connection who waits for
it. That also holds for a server that sends without being asked, and for one that closes
the connection.

None of them imports the client. What is not as its module expects is not known, and
counts as open.
"""
