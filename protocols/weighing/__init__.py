"""What weighing indicators send on a serial line, by data."""
