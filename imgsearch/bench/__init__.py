"""How fast imgsearch is on this machine: a model, indexing, searching. See `imgsearch bench`."""
