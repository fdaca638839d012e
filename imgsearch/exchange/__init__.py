"""Ways in and out of a library: backups, exports, imports, and merging two libraries."""
