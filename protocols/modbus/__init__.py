"""Modbus registers to values and back."""
