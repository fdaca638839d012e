"""Where pictures come from: the walk over folders, guarded reading, decoding to RGB."""
