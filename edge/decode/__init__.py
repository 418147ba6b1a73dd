"""From raw registers to what is worth reporting."""
