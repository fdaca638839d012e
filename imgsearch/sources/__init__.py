"""The images of a folder: the scan, guarded reading, decoding to RGB, metadata and captions."""
