"""The pages of the rescue centre."""
