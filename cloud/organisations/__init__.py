"""Organisations: who takes part, how firms come in, and how they leave."""
