"""Cross-modal models: pictures and words to vectors of one space."""
