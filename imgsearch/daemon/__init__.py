"""A process that keeps a library open, and searches that use it over a Unix socket (ADR 18).

`listener` is the daemon's side and `client` that of a search; `address` finds the socket, `wire`
has the messages. A search imports its side only, which needs no NumPy.
"""
