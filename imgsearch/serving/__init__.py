"""A library that stays open for many clients: one thread, rankings, thumbnails, uploads."""
