"""A library kept open for many clients: one thread, rankings, thumbnails, uploads."""
