"""A library as files: backups, and restoring them."""
