"""Saved models of every kind: loaded, drawn, scored."""
