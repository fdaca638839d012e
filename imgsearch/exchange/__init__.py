"""What comes and goes: backups, exports, imports, and merging two libraries."""
