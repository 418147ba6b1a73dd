"""Rescues: decided by pure functions, kept with absolute deadlines, told to the feed."""
