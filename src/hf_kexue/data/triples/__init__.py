"""Texts with triples as records, and schemas of predicates."""
