"""Lifts: what both ends agree on."""
