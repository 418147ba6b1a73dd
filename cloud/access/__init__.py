"""Tokens, sessions, login."""
