"""Plain texts: reading, masking, word vectors, occurrences of strings."""
