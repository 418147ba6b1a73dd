"""Alarms that a person must answer (ISA-18.2)."""
