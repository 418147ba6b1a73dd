"""The durable feed of the rescue centre."""
