"""What is in a library, from stored vectors and metadata: groups of duplicates."""
