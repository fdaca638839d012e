"""Contents of a library: groups of its pictures, and choices among them, from stored vectors."""
