"""Brings catalog and index up to date: scan, encode, read texts, calibrate, sync index files."""
