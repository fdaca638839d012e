"""A process that keeps a library open, and searches that use it over a Unix socket (ADR 18).

`listener` is the daemon's side and `client` that of a search; `address` is where they meet, `wire`
the messages. A search imports its side only, which needs no NumPy.
"""
