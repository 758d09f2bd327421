"""Load saved models of every kind, draw with them, score them."""
