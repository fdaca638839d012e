"""Measures a model, indexing and searching on this machine, for `imgsearch bench`.

Scripts that only docs/PERFORMANCE.md needs are in the folder benchmarks/ of the repository.
"""
