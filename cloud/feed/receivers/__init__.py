"""The feed sent to whoever asked for it."""
