"""A process that keeps a library open, and the searches that ask it over a socket (ADR 18).

`listener` and `answering` are the daemon's side, `client` is that of a search; `rendezvous` is
where they meet and `wire` what they say. A search imports its side only, which needs no NumPy.
"""
