"""Lineage: where an object or a lot came from, and where it and what it became went."""
