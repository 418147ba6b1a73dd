"""The filling gate: fill, do not fill, or cannot decide, at the gun and without the cloud."""
