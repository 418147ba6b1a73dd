"""Canonical points and controller files, read from data."""
