"""Measures how well a library answers queries with known answers."""
