"""Which pictures a search may find: the tree of a filter, its fields, the language of `--where`."""
