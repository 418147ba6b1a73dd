"""Time series of readings, in an engine behind one Protocol."""
