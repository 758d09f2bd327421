"""Plain texts: characters hidden, words, occurrences."""
