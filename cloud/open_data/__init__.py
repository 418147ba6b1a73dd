"""What the rules of data mark open: counts by coarse cells, for everybody."""
