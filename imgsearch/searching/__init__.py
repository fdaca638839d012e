"""Request to hits: terms to vectors, the ranking by meaning and by words, near-duplicates."""
