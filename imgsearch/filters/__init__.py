"""Filters of a search: the filter tree, its fields, and the language of `--where`."""
